"""What the machine tells of a run: CPU time, what workers wait for, what others use, what a mode costs."""
