"""The demonstration: a flow that examines the Python standard library of the interpreter that runs it."""
