"""Jobs that survive their process: their facts are kept in a store before anything follows from them."""
