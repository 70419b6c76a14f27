"""Stanza: its character language model, language identifier and packed LSTM, untrained."""

import pytest
import torch
from opened_models import needed, opened, opens_in_a_browser, trains_the_same, writes_a_page

import gatewise as gw

char_model = needed("stanza.models.common.char_model")
langid = needed("stanza.models.langid.model")
packed_lstm = needed("stanza.models.common.packed_lstm")
vocabulary = needed("stanza.models.common.vocab")

TEXTS = ["what does an lstm remember", "it keeps a cell state", "gates"]


def language_model():
    vocab = {"char": vocabulary.CharVocab([sorted(set("".join(TEXTS)))])}
    options = {
        "char_emb_dim": 6,
        "char_hidden_dim": 10,
        "char_num_layers": 1,
        "char_dropout": 0.1,
        "char_rec_dropout": 0,
    }
    return char_model.CharacterLanguageModel(options, vocab), vocab["char"]


def test_the_character_language_model(note, tmp_path):
    model, vocab = language_model()
    lengths = [len(text) for text in TEXTS]
    chars = torch.zeros(len(TEXTS), max(lengths), dtype=torch.int64)
    for row, text in enumerate(TEXTS):
        chars[row, : len(text)] = torch.tensor(vocab.map(text))
    model.eval()
    trace = opened("stanza CharacterLanguageModel", model, lambda: model(chars, lengths), note)
    assert trace["charlstm.lstm"][0].lengths.tolist() == lengths
    made = writes_a_page(tmp_path, trace, labels=list(TEXTS[1]), row=1)
    assert [word.text for word in made.page.words] == list(TEXTS[1])
    opens_in_a_browser(tmp_path / "page.html")
    model.train()
    trains_the_same(model, lambda: model(chars, lengths)[2].square().mean())


def test_the_language_identifier_is_explained(note, tmp_path):
    letters = {c: k + 1 for k, c in enumerate(sorted(set("".join(TEXTS))))} | {"<PAD>": 0}
    model = langid.LangIDBiLSTM(letters, {"en": 0, "fr": 1}, 2, 6, 10)
    model.eval()
    ids = torch.tensor([[letters[c] for c in TEXTS[0]]])
    opened("stanza LangIDBiLSTM", model, lambda: model(ids), note)
    read = gw.memory.readout(model, ids, 0)
    # Its head is linear and sums over the characters: the constant is the bias, once for each of them.
    bias = len(TEXTS[0]) * model.hidden_to_tag.bias[0].detach().double()
    torch.testing.assert_close(read.constant[0], bias, atol=1e-5, rtol=0)
    writes_a_page(tmp_path, read, labels=list(TEXTS[0]))
    model.train()
    trains_the_same(model, lambda: model.loss(model(ids), torch.tensor([1])))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_over_cells_is_a_chain_for_each_number_of_rows(reverse):
    # With recurrent dropout Stanza steps an nn.LSTMCell over packed rows, whose number changes from step to step.
    layer = packed_lstm.PackedLSTM(3, 5, 1, rec_dropout=0.3, bidirectional=True, pad=True).eval()
    x = torch.randn(6, 3, 3)
    with gw.record(layer) as trace:
        out, _ = layer(x, [6, 4, 4])
    chains = [call[0] for call in trace[f"lstm.cells.{int(reverse)}"].calls]
    assert [tuple(lt.h.shape[:2]) for lt in chains] == ([(2, 1), (4, 3)] if reverse else [(4, 3), (2, 1)])
    assert max(lt.residual for lt in chains) <= 1e-6
    first_rows = torch.cat([lt.h[:, 0] for lt in chains])
    own = out[:, 0, 5:].flip(0) if reverse else out[:, 0, :5]
    torch.testing.assert_close(first_rows, own, atol=0, rtol=0)
