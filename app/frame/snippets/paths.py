"""What a snippet does for patching and for edges between heads; see `app.snippets.bodies`."""

from analysis import definitions as d

EDGES = """
# What replacing each head's z adds to the stream, and what the loss makes of the stream as each
# reader sees it: the query, key or value of a later head, or the logits.
names = [f"blocks.{i}.attn.hook_{part}" for i in range(n_layers) for part in "qkv"]
names.append(f"blocks.{n_layers - 1}.hook_resid_post")
seen = {}


def note(name):
    def hook(activation, hook):
        seen[name] = activation.clone()  # the one that the rest of the run is computed from
        return seen[name]

    return name, hook


with torch.enable_grad():
    found = torch.autograd.grad(loss([note(name) for name in names]), [seen[n] for n in names])
slopes = dict(zip(names, found))


def writes_of(z, layer):  # [batch, pos, head, d_model]
    return torch.einsum("bphe,hem->bphm", z, model.W_O[layer])


def reads_of(stream, layer, part, head):  # [batch, pos, d_head]
    if facts["normalization"]:
        stream = model.blocks[layer].ln1.original_component(stream)
    weights, biases = getattr(model, f"W_{part.upper()}"), getattr(model, f"b_{part.upper()}")
    return stream @ weights[layer, head] + biases[layer, head]


changes = {}
for layer in range(n_layers):
    z = cache[z_hook(layer)]
    for head, change in enumerate(writes_of(cut(z) - z, layer).unbind(2)):
        changes[layer, head] = change
edges = {}  # (layer and head that write, layer, head and part that read): nats
for writer in changes:
    edges[writer, "logits"] = float((changes[writer] * slopes[names[-1]]).sum())
for layer in range(1, n_layers):
    for part in "qkv":
        for head in range(n_heads):
            with torch.enable_grad():
                stream = cache[f"blocks.{layer}.hook_resid_pre"].clone().requires_grad_()
                read = reads_of(stream, layer, part, head)
                after = slopes[f"blocks.{layer}.attn.hook_{part}"][:, :, head]
                (before,) = torch.autograd.grad(read, stream, after)
            for writer in changes:
                if writer[0] < layer:
                    reader = (layer, head, part)
                    edges[writer, reader] = float((changes[writer] * before).sum())
"""

BODIES: dict[d.Definition, tuple[tuple[str, ...], str]] = {
    d.PATCHING: (
        ("pair",),
        """
shares = torch.zeros(n_layers, n_heads)
for layer in range(n_layers):
    name = f"blocks.{layer}.attn.hook_z"
    for head in range(n_heads):

        def patch(z, hook):
            new = z.clone()
            new[:, :, head] = clean_cache[name][:, :, head]
            return new

        m = difference(model.run_with_hooks(corrupt, fwd_hooks=[(name, patch)]))
        shares[layer, head] = (m - m_corrupt) / (m_clean - m_corrupt)
result = shares
""",
    ),
    d.ATTRIBUTION_PATCHING: (
        ("pair",),
        """
corrupt_z = {}


def note_of(layer):
    def note(activation, hook):
        corrupt_z[layer] = activation.clone()
        return corrupt_z[layer]

    return f"blocks.{layer}.attn.hook_z", note


with torch.enable_grad():
    m = difference(model.run_with_hooks(corrupt, fwd_hooks=[note_of(i) for i in range(n_layers)]))
    slopes = torch.autograd.grad(m, list(corrupt_z.values()))
estimates = []
for layer, slope in enumerate(slopes):
    change = clean_cache[f"blocks.{layer}.attn.hook_z"] - corrupt_z[layer].detach()
    estimates.append((change * slope).sum((0, 1, 3)) / (m_clean - m_corrupt))
result = torch.stack(estimates)
""",
    ),
    d.PATH_PATCHING: (
        ("pair",),
        """
weights, biases = getattr(model, f"W_{INTO.upper()}"), getattr(model, f"b_{INTO.upper()}")
name = f"blocks.{LAYER}.attn.hook_{INTO}"
result = torch.full((n_layers, n_heads), torch.nan)  # of the head that writes
for layer in range(LAYER):
    clean_z, corrupt_z = (c[f"blocks.{layer}.attn.hook_z"] for c in (clean_cache, corrupt_cache))
    for head in range(n_heads):
        # The stream as the reading head would see it if this one head had its clean output.
        change = (clean_z - corrupt_z)[:, :, head] @ model.W_O[layer, head]
        stream = corrupt_cache[f"blocks.{LAYER}.hook_resid_pre"] + change
        if facts["normalization"]:
            stream = model.blocks[LAYER].ln1.original_component(stream)
        read = stream @ weights[LAYER, HEAD] + biases[LAYER, HEAD]

        def patch(activation, hook):
            new = activation.clone()
            new[:, :, HEAD] = read
            return new

        m = difference(model.run_with_hooks(corrupt, fwd_hooks=[(name, patch)]))
        result[layer, head] = (m - m_corrupt) / (m_clean - m_corrupt)
""",
    ),
    d.EDGE_ATTRIBUTION: (
        ("run", "loss", "cut", "edges"),
        """
for edge, nats in sorted(edges.items(), key=lambda item: -abs(item[1]))[:10]:
    print(*edge, f"{nats:+.3f}")
result = torch.tensor(list(edges.values()))
""",
    ),
    d.FAITHFULNESS: (
        ("run", "loss", "cut", "edges"),
        """
def strongest(count):  # those of them that lie on a path to the logits
    ordered = sorted(edges, key=lambda edge: -abs(edges[edge]))[:count]
    kept, live = set(), set()
    for writer, reader in sorted(ordered, key=lambda edge: -edge[0][0]):  # the last layer first
        if reader == "logits" or reader[:2] in live:
            kept.add((writer, reader))
            live.add(writer)
    return kept


def loss_with(kept):  # every other edge is cut
    streams, gone = {}, {}

    def own_stream(reader, layer):
        cut_off = [gone[writer] for writer in gone if (writer, reader) not in kept]
        return streams[layer] + sum(cut_off)

    def note_stream(layer):
        def hook(stream, hook):
            streams[layer] = stream

        return f"blocks.{layer}.hook_resid_pre", hook

    def read_again(layer, part):
        def hook(activation, hook):
            readers = [(layer, head, part) for head in range(n_heads)]
            read = [reads_of(own_stream(r, layer), layer, part, r[1]) for r in readers]
            return torch.stack(read, 2)

        return f"blocks.{layer}.attn.hook_{part}", hook

    def note_writes(layer):
        def hook(z, hook):
            change = cut(cache[z_hook(layer)]) - z
            for head, written in enumerate(writes_of(change, layer).unbind(2)):
                gone[layer, head] = written

        return z_hook(layer), hook

    def read_logits(stream, hook):
        streams[n_layers] = stream
        return own_stream("logits", n_layers)

    hooks = []
    for layer in range(n_layers):
        hooks += [note_stream(layer), *(read_again(layer, part) for part in "qkv" if layer)]
        hooks.append(note_writes(layer))
    return loss([*hooks, (f"blocks.{n_layers - 1}.hook_resid_post", read_logits)])


def recovered(kept):
    without = loss_with(set())
    return (without - loss_with(kept)) / (without - loss())


# As many edges as the page has: those chosen, or the first of these numbers that do most of it.
counts = [EDGES] if EDGES else [8, 16, 24, 40, 80]
shares = [recovered(strongest(count)) for count in counts]
result = next((share for share in shares if share >= 0.8), shares[-1])
""",
    ),
}
