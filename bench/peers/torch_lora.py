#!/usr/bin/python3
"""Speed and memory of LoRA training in PyTorch on the CPU: what `andiron bench --train` is held against.

Plain modules of the Llama shape with random weights, frozen base, LoRA of rank 8 and alpha 16 on all linear layers of
the blocks, AdamW, 4 sequences of 512 tokens a step, loss on every token. Three settings, each in a process of its own:

    f32       weights and arithmetic in float32
    bf16      base weights and arithmetic in bfloat16, adapters and the optimiser's state in float32
    autocast  weights in float32, matrix products in bfloat16 (torch.autocast)

each with and without gradient checkpointing where --checkpointing both is given. Prints one JSON object: the best
setting's tokens_per_s, peak_memory_bytes (of the whole process) and name, and all settings measured. The least memory
of all settings is given too, so that nobody need compare one setting's speed with another's memory.

    bench/peers/torch_lora.py --shape 135m --steps 5 --threads 2

Written for Debian 12's python3-torch (1.13). With Debian's plain libblas3 the float32 products run on one thread and many
times too slowly: install libopenblas0-pthread. "blas" in the output names the library in use, and a warning is printed.
Under a real-time scheduling class (chrt -f) the spinning threads of OpenMP and of BLAS can starve each other; use nice.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

SHAPES = {
    # layers, width, feed-forward, heads, kv heads, vocabulary, head tied to the embedding
    "135m": (30, 576, 1536, 9, 3, 49152, True),  # SmolLM2-135M
    "1.1b": (22, 2048, 5632, 32, 4, 32000, False),  # TinyLlama-1.1B
    "tiny": (2, 64, 128, 4, 2, 512, True),
}
SETTINGS = ("f32", "bf16", "autocast")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="135m")
    parser.add_argument("--setting", choices=SETTINGS + ("best",), default="best")
    parser.add_argument("--checkpointing", choices=("off", "on", "both"), default="off")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--steps", type=int, default=5, help="steps measured (default 5)")
    parser.add_argument("--warmup", type=int, default=1, help="steps before them (default 1)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps: expected 1 or more")
    return arguments


def build(torch, arguments, compute_type):
    """The model and its trained parameters. Base weights are made in `compute_type` at once, never in two types."""
    from torch import nn
    from torch.nn import functional
    from torch.utils.checkpoint import checkpoint

    layers, width, feed_forward, heads, kv_heads, vocabulary, tied = SHAPES[arguments.shape]
    head_dim = width // heads
    scale = arguments.alpha / arguments.rank

    def frozen(*shape):
        weight = torch.empty(*shape, dtype=compute_type).normal_(std=0.02)
        return nn.Parameter(weight, requires_grad=False)

    class Lora(nn.Module):
        def __init__(self, n, k):
            super().__init__()
            self.weight = frozen(n, k)
            self.a = nn.Parameter(torch.empty(arguments.rank, k).normal_(std=0.02))
            self.b = nn.Parameter(torch.zeros(n, arguments.rank))

        def forward(self, x):
            low = functional.linear(x, self.a.to(x.dtype))
            return functional.linear(x, self.weight) + scale * functional.linear(low, self.b.to(x.dtype))

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width, dtype=compute_type), requires_grad=False)

        def forward(self, x):
            wide = x.float()
            return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * self.weight

    angles = torch.outer(torch.arange(arguments.seq).float(), 10000 ** (-torch.arange(0, head_dim, 2) / head_dim))
    cos, sin = (torch.cat([f(angles)] * 2, -1).to(compute_type) for f in (torch.cos, torch.sin))
    hidden = torch.full((arguments.seq, arguments.seq), float("-inf"), dtype=compute_type).triu(1)

    def turned(x):
        left, right = x.chunk(2, -1)
        return x * cos + torch.cat((-right, left), -1) * sin

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = Norm(), Norm()
            self.q, self.o = Lora(width, width), Lora(width, width)
            self.k, self.v = (Lora(kv_heads * head_dim, width) for _ in range(2))
            self.gate, self.up = (Lora(feed_forward, width) for _ in range(2))
            self.down = Lora(width, feed_forward)

        def attention(self, x):
            batch, length, _ = x.shape
            q, k, v = (p(x).view(batch, length, -1, head_dim).transpose(1, 2) for p in (self.q, self.k, self.v))
            q, k = turned(q), turned(k)
            k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
            scores = q @ k.transpose(-1, -2) * head_dim**-0.5 + hidden
            out = scores.softmax(-1).to(v.dtype) @ v
            return self.o(out.transpose(1, 2).reshape(batch, length, width))

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            y = self.norm2(x)
            return x + self.down(functional.silu(self.gate(y)) * self.up(y))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = frozen(vocabulary, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm = Norm()
            self.head = self.embedding if tied else frozen(vocabulary, width)

        def forward(self, ids):
            x = functional.embedding(ids[:, :-1], self.embedding)
            if arguments.checkpointing == "on":
                x.requires_grad_()  # else checkpoint() sees nothing to differentiate in the first block
            for block in self.blocks:
                x = checkpoint(block, x) if arguments.checkpointing == "on" else block(x)
            logits = functional.linear(self.norm(x), self.head)
            return functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())

    model = Model()
    return model, [p for p in model.parameters() if p.requires_grad], vocabulary


def blas_in_use():
    """The file that matrix products in float32 come from, once torch has been loaded."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        files = {line.split()[-1] for line in maps if "blas" in line or "libmkl" in line}
    fast = sorted(file for file in files if "openblas" in file or "libmkl" in file)
    if not fast:
        print("torch_lora.py: only the plain BLAS is there; float32 will look slower than PyTorch is "
              "(apt-get install libopenblas0-pthread)", file=sys.stderr)
    return fast[0] if fast else next(iter(sorted(files)), "")


def measure(arguments):
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    compute_type = torch.bfloat16 if arguments.setting == "bf16" else torch.float32
    model, trained, vocabulary = build(torch, arguments, compute_type)
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    seconds, loss = [], None
    for step in range(arguments.warmup + arguments.steps):
        ids = torch.randint(vocabulary, (arguments.batch, arguments.seq + 1))
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.setting == "autocast"):
            loss = model(ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= arguments.warmup:
            seconds.append(time.perf_counter() - begin)
    tokens = arguments.batch * arguments.seq
    return {
        "setting": arguments.setting + (" with checkpointing" if arguments.checkpointing == "on" else ""),
        "tokens_per_s": tokens / statistics.median(seconds),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": loss.item(),
        "trained_parameters": sum(p.numel() for p in trained),
        "torch": torch.__version__,
        "blas": blas_in_use(),
    }


def measure_apart(arguments, setting, checkpointing):
    """One setting in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, os.path.abspath(__file__), "--setting", setting, "--checkpointing", checkpointing]
    for name in ("shape", "batch", "seq", "rank", "alpha", "steps", "warmup", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:  # e.g. no memory for it: the others count
        lines = done.stderr.strip().splitlines()
        return {"setting": setting, "checkpointing": checkpointing, "failed": lines[-1] if lines else done.returncode}
    sys.stderr.write(done.stderr)  # warnings
    return json.loads(done.stdout)


def main():
    arguments = parse_arguments()
    if arguments.setting != "best" and arguments.checkpointing != "both":
        print(json.dumps(measure(arguments)))
        return
    settings = SETTINGS if arguments.setting == "best" else (arguments.setting,)
    modes = ("off", "on") if arguments.checkpointing == "both" else (arguments.checkpointing,)
    results = [measure_apart(arguments, setting, mode) for setting in settings for mode in modes]
    good = [result for result in results if "failed" not in result]
    if not good:
        sys.exit("no setting worked: " + json.dumps(results))
    best = max(good, key=lambda result: result["tokens_per_s"])
    print(json.dumps({
        "shape": arguments.shape, "batch": arguments.batch, "seq": arguments.seq, "threads": arguments.threads,
        "setting": best["setting"], "tokens_per_s": best["tokens_per_s"],
        "peak_memory_bytes": best["peak_memory_bytes"],
        "least_memory_bytes": min(result["peak_memory_bytes"] for result in good),
        "settings": results,
    }, indent=1))


if __name__ == "__main__":
    main()
