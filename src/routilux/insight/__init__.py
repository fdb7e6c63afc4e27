"""What a recorded job tells: folds over a trace, pure."""
