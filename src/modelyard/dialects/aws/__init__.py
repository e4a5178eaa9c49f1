"""Everything that clients of AWS expect beside SageMaker itself: the protocol, and the companion services."""
