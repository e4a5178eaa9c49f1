import argparse
import os

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-C", "--C", type=float, default=1.0)
    args = parser.parse_args()
    data = pd.read_csv(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "iris.csv"))
    X, y = data.drop(columns="target").to_numpy(), data["target"].to_numpy()
    model = LogisticRegression(C=args.C, max_iter=500).fit(X, y)
    print(f"score={model.score(X, y):.6f};")
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
    with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "coefficients.txt"), "w") as file:
        file.write(repr(model.coef_.tolist()))
