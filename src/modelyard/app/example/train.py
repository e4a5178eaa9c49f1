"""Quickstart's training script: it would run unchanged in SageMaker's scikit-learn container.

Follows https://sagemaker.readthedocs.io/en/stable/frameworks/sklearn/using_sklearn.html; knows nothing of Modelyard.
"""

import argparse
import os

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-iter", type=int, default=200)
    args = parser.parse_args()
    data = pd.read_csv(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "iris.csv"))
    X, y = data.drop(columns="species").to_numpy(), data["species"].to_numpy()
    model = LogisticRegression(max_iter=args.max_iter)
    for fold, accuracy in enumerate(cross_val_score(model, X, y, cv=5), start=1):
        print(f"fold={fold} accuracy={accuracy:.4f};")
    joblib.dump(model.fit(X, y), os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
    print(f"trained on {len(data)} rows")
