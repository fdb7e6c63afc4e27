"""Those who run the same tasks on two workers, each in the way its users would: our flows, and their peers."""
