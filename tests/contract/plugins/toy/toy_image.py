"""Images of somebody else's, answered for by an environment that needs no library."""

from modelyard.core.jobs.images import ImageFamily, Images

IMAGES = Images((ImageFamily("toy", ("toys/train",)),))
