import io
import os

import numpy as np
import torch


def network():
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


def model_fn(model_dir):
    model = network()
    model.load_state_dict(torch.load(os.path.join(model_dir, "model.pth"), weights_only=True))
    return model.eval()


def input_fn(body, content_type):
    assert content_type == "application/x-npy"
    return torch.from_numpy(np.load(io.BytesIO(body)).astype("float32"))


def predict_fn(data, model):
    with torch.no_grad():
        return model(data).numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    archive = np.load(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "digits.npz"))
    X, y = torch.from_numpy(archive["X"].astype("float32")), torch.from_numpy(archive["y"])
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(30):
        optimizer.zero_grad()
        logits = model(X)
        loss = torch.nn.functional.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        print(f"epoch={epoch} score={(logits.argmax(1) == y).float().mean().item():.6f};")
    torch.save(model.state_dict(), os.path.join(os.environ["SM_MODEL_DIR"], "model.pth"))
