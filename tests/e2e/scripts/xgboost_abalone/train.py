import argparse
import os

import xgboost


def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(os.path.join(model_dir, "xgboost-model"))
    return booster


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_round", type=int, default=20)
    parser.add_argument("--max_depth", type=int, default=4)
    args = parser.parse_args()
    data = xgboost.DMatrix(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "abalone.libsvm") + "?format=libsvm")
    seen = {}
    booster = xgboost.train(
        {"max_depth": args.max_depth, "objective": "reg:squarederror", "nthread": 1},
        data,
        args.num_round,
        evals=[(data, "train")],
        evals_result=seen,
        verbose_eval=False,
    )
    for value in seen["train"]["rmse"]:
        print(f"score={value:.6f};")
    booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "xgboost-model"))
