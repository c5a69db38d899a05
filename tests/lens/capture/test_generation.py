"""A generation is one table: its steps are rows, and with beams those of the sequences that came out."""

import pytest
import torch

import saccade

pytest.importorskip("transformers")
from zoo import built, text

STEPS = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
CASES = {
    "llama": {},
    "mistral": {},
    "gpt-oss": {},
    "gpt2": {},
    "t5": {},
    "mistral, static cache": {"cache_implementation": "static"},
    "llama, beams": {"num_beams": 3},
    "t5, beams": {"num_beams": 3, "num_return_sequences": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_a_generation_is_one_table(case):
    name, options = case.split(",")[0], {**STEPS, **CASES[case]}
    inputs = text(left=name != "t5")
    model = built(name, "eager")
    told = model.generate(**inputs, **options, output_attentions=True, return_dict_in_generate=True)
    with saccade.look(model) as seen:
        written = model.generate(**inputs, **options)
    assert torch.equal(written, told.sequences)
    beams = told.get("beam_indices")
    own = told.decoder_attentions if name == "t5" else told.attentions
    for kind, steps in (("self", own), ("cross", told.get("cross_attentions"))):
        sites = [site for site in seen.sites if site.kind == kind and "encoder." not in site.name]
        for layer, site in enumerate(sites if steps is not None else ()):
            assert site.check.status == "exact"
            compare(site, [step[layer] for step in steps], beams)
    assert seen.tokens.target.ids.equal(written) if name == "t5" else seen.tokens.source.ids.equal(written)


def compare(site, steps, beams):
    row = 0
    for t, step in enumerate(steps):
        step = step if beams is None else step[beams[:, t].clamp(min=0)]
        rows = range(row, row + step.shape[2])
        row = rows.stop
        found = site.rows(rows)
        first = max(0, row - step.shape[3]) if site.kind == "self" else 0
        width = min(step.shape[3], found.shape[3] - first)
        step = step[..., :width]
        assert (found[..., first : first + width] - step).abs().max() < 1e-6
        assert found[..., :first].abs().max() == 0 if first else True
    assert site.shape == (*steps[0].shape[:0], len(site.row(0)), steps[0].shape[1], row, site.shape[3])


def test_a_sequence_that_has_ended_looks_nowhere():
    model, inputs = built("t5", "eager"), text()
    model.generation_config.eos_token_id = [7, 8, 9, 30, 31, 32, 50, 51, 52]
    options = {"num_beams": 3, "max_new_tokens": 8, "return_dict_in_generate": True}
    with saccade.look(model) as seen:
        beams = model.generate(**inputs, **options).beam_indices
    site = next(site for site in seen.sites if site.kind == "cross")
    found = site.rows(range(beams.shape[1])).sum(-1)
    assert torch.equal(found[:, 0] > 0.5, beams >= 0)


def test_the_last_rows_alone_hold_no_keys():
    model, inputs = built("llama"), text(left=True)
    with saccade.look(model, sites="model.layers.1.self_attn", rows="last") as seen:
        model.generate(**inputs, **STEPS)
    with saccade.look(model) as whole:
        model.generate(**inputs, **STEPS)
    (site,) = seen.sites
    assert site.places == tuple(range(10, 16))
    assert torch.equal(site.weights(), whole[site.name].rows(site.places))
    assert all(type(record.piece).__name__ == "Kept" for record in site.records)
    with pytest.raises(ValueError, match=r"row must be one that was kept, of .* 10, 11, 12, 13, 14, 15; got 3"):
        site.row(3)


def test_steps_hold_rows_and_not_keys():
    model, inputs = built("llama"), text(left=True)
    with saccade.look(model) as seen:
        model.generate(**inputs, **STEPS)
    kinds = [type(record.piece).__name__ for record in seen[0].records]
    assert kinds == ["Call"] + ["Kept"] * 5


def test_a_loop_of_ones_own_is_one_table_too():
    model, inputs = built("llama"), text(left=True)
    with torch.no_grad(), saccade.look(model) as seen:
        step = model(**inputs, use_cache=True)
        for _ in range(3):
            mask = torch.nn.functional.pad(inputs["attention_mask"], (0, 1), value=1)
            inputs = {"input_ids": step.logits[:, -1:].argmax(-1), "attention_mask": mask}
            step = model(**inputs, past_key_values=step.past_key_values, use_cache=True)
    assert [site.shape for site in seen.sites] == [(2, 4, 14, 14)] * 2


def test_two_runs_are_two_tables():
    model = built("t5")
    inputs = text()
    with saccade.look(model) as seen:
        for _ in range(2):
            model.generate(**inputs, **STEPS)
        with torch.no_grad():
            model(**inputs, decoder_input_ids=inputs["input_ids"][:, :3])
    names = [site.name for site in seen.sites]
    assert len(names) == len(set(names)) == 18
    assert "decoder.block.1.layer.1.EncDecAttention#3" in names
    assert [site.shape[2] for site in seen.sites if site.kind == "cross"] == [6, 6, 6, 6, 3, 3]


def test_figures_of_a_generation_are_those_of_its_table():
    model, inputs = built("t5", "eager"), text()
    with saccade.look(model) as seen:
        model.generate(**inputs, **STEPS, num_beams=3)
    for site in seen.sites:
        table = site.weights().double()
        assert (site.entropy() - torch.special.entr(table).sum(-1)).abs().max() < 2e-6
        assert (site.coverage() - table.sum(2)).abs().max() < 2e-6
        assert (site.column(2) - table[..., 2]).abs().max() < 1e-6
