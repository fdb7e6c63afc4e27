"""The pure middle: a fact goes in, and what follows from it comes out."""
