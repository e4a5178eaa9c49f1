"""What serves where the user's program leaves a hook out: one module a framework, chosen by the image's name.

Owns the choice. Refuses to know how a framework opens a model or reads a body.
"""

from __future__ import annotations

from modelyard.serving.frameworks.plain import Plain
from modelyard.serving.frameworks.pytorch import PyTorch
from modelyard.serving.frameworks.scikit import ScikitLearn
from modelyard.serving.frameworks.xgboost import XGBoost
from modelyard.serving.hooks import Framework


def framework_for(image: str, hooked: bool) -> Framework:
    """The defaults for an image such as ``.../sagemaker-scikit-learn:1.2-1-cpu-py3``.

    ``hooked``: the user brings a program. Without one a scikit-learn model is served as Modelyard's own are.
    """
    name = image.rpartition("/")[2].lower()
    if "xgboost" in name:
        return XGBoost()
    if "pytorch" in name or "torch" in name:
        return PyTorch()
    if hooked:
        return ScikitLearn()
    return Plain()
