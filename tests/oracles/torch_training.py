#!/usr/bin/python3
"""Trains a Llama in PyTorch: what andiron's trainer is compared with (src/train/torch_test.cpp, torch_curves_test.cpp).

    torch_training.py IN OUT

IN is a safetensors file: the weights in float32 under GGUF's names (rotary pairs of q and k are neighbours), adapters
"blk.0.attn_q.lora_A" and "lora_B", "train.tokens" and "train.trained" [rows, longest row] as floats, the same for
"held_out" where something is measured, and the settings as JSON in its metadata; its "order" says which rows make each
step. A row that is shorter ends with tokens that are not trained. OUT gets the gradient of the first step under the
parameters' names, and in the metadata the loss of every step and the measured losses as [steps done, loss]. Keys and
values are rounded to float16, the gradient passes straight through.

Exits with 3 where PyTorch is not installed.
"""
import json
import math
import os
import struct
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when it is loaded
try:
    import torch
    from torch.nn import functional
except ImportError:
    sys.exit(3)


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        raw = bytearray(data[8 + length + begin : 8 + length + end])
        tensors[name] = torch.frombuffer(raw, dtype=torch.float32).reshape(info["shape"]).clone()
    return metadata, tensors


def write_safetensors(path, metadata, tensors):
    header, offset = {"__metadata__": metadata}, 0
    for name, tensor in tensors.items():
        size = 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().tobytes())


def rounded(x):
    return x + (x.half().float() - x).detach()


class Llama:
    def __init__(self, settings, numbers):
        self.s, self.numbers = settings, numbers

    def linear(self, x, layer):
        y = functional.linear(x, self.numbers[layer + ".weight"])
        if layer + ".lora_A" in self.numbers:
            low = functional.linear(x, self.numbers[layer + ".lora_A"])
            y = y + self.s["scale"] * functional.linear(low, self.numbers[layer + ".lora_B"])
        return y

    def norm(self, x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.s["epsilon"]) * self.numbers[name]

    def heads(self, x):
        return x.view(x.shape[0], x.shape[1], -1, self.s["head_dim"]).transpose(1, 2)

    def turned(self, x):
        d = self.s["head_dim"]
        frequencies = self.s["rope_base"] ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
        angles = torch.outer(torch.arange(x.shape[2], dtype=torch.float64), frequencies)
        cos, sin = torch.cos(angles).float(), torch.sin(angles).float()
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def attention(self, x, p):
        q, k, v = (self.heads(self.linear(x, p + name)) for name in ("attn_q", "attn_k", "attn_v"))
        groups = q.shape[1] // k.shape[1]
        q, k, v = self.turned(q), rounded(self.turned(k)), rounded(v)
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = q @ k.transpose(-1, -2) * self.s["head_dim"] ** -0.5
        hidden = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
        out = (scores + hidden).softmax(-1) @ v
        return self.linear(out.transpose(1, 2).flatten(2), p + "attn_output")

    def losses(self, rows):
        """The loss of every trained token, as a sum, and how many there are."""
        tokens, trained = rows
        x = self.numbers["token_embd.weight"][tokens[:, :-1]]
        for block in range(self.s["blocks"]):
            p = "blk.%d." % block
            x = x + self.attention(self.norm(x, p + "attn_norm.weight"), p)
            h = self.norm(x, p + "ffn_norm.weight")
            gated = functional.silu(self.linear(h, p + "ffn_gate")) * self.linear(h, p + "ffn_up")
            x = x + self.linear(gated, p + "ffn_down")
        x = self.norm(x, "output_norm.weight")
        tied = "output.weight" not in self.numbers
        logits = functional.linear(x, self.numbers["token_embd.weight"]) if tied else self.linear(x, "output")
        losses = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        mask = trained[:, 1:].flatten()
        return (losses * mask).sum(), mask.sum()

    def measure(self, rows):
        """The mean loss of rows that are not trained on, a few at a time."""
        total, count, few = 0.0, 0.0, 16
        with torch.no_grad():
            for first in range(0, len(rows[0]), few):
                loss, trained = self.losses(picked(rows, range(first, min(first + few, len(rows[0])))))
                total, count = total + loss.item(), count + trained.item()
        return total / count


def picked(rows, indexes):
    """Some rows, as wide as the longest of them."""
    tokens, trained = (values[list(indexes)] for values in rows)
    width = int(trained.any(0).nonzero().max()) + 1
    return tokens[:, :width], trained[:, :width]


def clip(parameters, largest):
    length = torch.sqrt(sum(p.grad.double().pow(2).sum() for p in parameters)).item()
    if length > largest > 0:
        for p in parameters:
            p.grad.mul_(largest / length)


def rate(settings, step):
    """Of step 1 and on: a straight rise, then half a wave of a cosine that would reach zero one step after the last."""
    peak, warmup, steps = settings["rate"], settings["warmup_steps"], len(settings["order"])
    if step < warmup:
        return peak * step / warmup
    if settings["schedule"] == "constant":
        return peak
    way = (step - max(warmup, 1)) / (steps + 1 - max(warmup, 1))
    return peak * 0.5 * (1 + math.cos(math.pi * way))


def main():
    metadata, numbers = read_safetensors(sys.argv[1])
    settings = json.loads(metadata["settings"])
    train, held_out = (
        (numbers.pop(name + ".tokens").long(), numbers.pop(name + ".trained")) if name + ".tokens" in numbers else None
        for name in ("train", "held_out")
    )
    names, every = settings["parameters"], settings["measure_every"]
    parameters = [numbers[name].requires_grad_() for name in names]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings["weight_decay"]},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], betas=(0.9, 0.999), eps=1e-8)
    model, losses, gradients = Llama(settings, numbers), [], {}
    measured = [[0, model.measure(held_out)]] if held_out else []
    for step, rows in enumerate(settings["order"], 1):
        optimizer.zero_grad()
        total, count = model.losses(picked(train, rows))
        loss = total / count
        loss.backward()
        losses.append(loss.item())
        gradients = gradients or {name: p.grad.clone() for name, p in zip(names, parameters)}
        clip(parameters, settings["clip_norm"])
        for group in optimizer.param_groups:
            group["lr"] = rate(settings, step)
        optimizer.step()
        if held_out and (step % every == 0 or step == len(settings["order"])):
            measured.append([step, model.measure(held_out)])
    write_safetensors(sys.argv[2], {"losses": json.dumps(losses), "measured": json.dumps(measured)}, gradients)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
