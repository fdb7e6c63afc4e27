"""Auto mode's judgement: what a flow's jobs need, what would come of other workers, and whether it did."""
