"""Where durable jobs are kept: a port that sees nothing but bytes, and its adapters."""
