"""Everything that clients of AWS expect beside SageMaker itself: the protocol, and the companion services.

Other dialects may use the protocol; none is known here.
"""
