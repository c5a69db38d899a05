"""Foreign encoders: called as ours are, weights by name, and one line where anything is amiss."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from saccade.errors import MissingExtraError
from saccade.layers.backbone import Backbone, load_backbone
from saccade.layers.convolutional import Mapped

SIZES = torch.tensor([[13, 17], [5, 9]])


class StandIn(nn.Module):
    """A model as timm gives them: a list of maps, and what is known of them; names flat, as of `stages.0`."""

    def __init__(self, channels: int, last: bool):
        super().__init__()
        self.stages_0 = nn.Conv2d(channels, 3, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.stages_1 = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.output_fmt = SimpleNamespace(value="NHWC" if last else "NCHW")
        self.feature_info = SimpleNamespace(channels=lambda: [3, 5], reduction=lambda: [2, 4])

    def forward(self, x: Tensor) -> list[Tensor]:
        if x.shape[3] == 16:
            raise AssertionError("Input width (16) doesn't match model\nmore")
        first = self.norm(self.stages_0(x))
        second = self.stages_1(first)
        return [first, second.permute(0, 2, 3, 1) if self.output_fmt.value == "NHWC" else second]


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("timm")

    def create_model(name: str, *, features_only: bool, pretrained: bool, in_chans: int) -> nn.Module:
        assert features_only
        assert not pretrained
        if not name.startswith("stand"):
            raise RuntimeError(f"Unknown model ({name})\nand more")
        return StandIn(in_chans, name == "stand_last")

    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


def check_contract(backbone: Backbone) -> Mapped:
    x = torch.randn(2, 1, 13, 17).requires_grad_()
    found = backbone(x, SIZES)
    assert torch.equal(found.sizes, backbone.grid(SIZES))
    assert found.map.shape == (2, backbone.dim, *backbone.grid(SIZES[0]).tolist())
    for index, (rows, columns) in enumerate(found.sizes.tolist()):
        assert found.mask[index].sum() == rows * columns
        assert found.mask[index, :rows, :columns].all()
        assert (found.map[index].masked_select(~found.mask[index]) == 0).all()
    found.map.square().sum().backward()
    assert x.grad[0].abs().sum() > 0
    assert (x.grad[1, :, 5:] == 0).all()
    return found


@pytest.mark.parametrize("name", ["stand", "stand_last"])
def test_a_backbone_is_called_as_our_encoder_is(timm, name):
    torch.manual_seed(1)
    backbone = Backbone(name, 1)
    assert (backbone.dim, backbone.stride) == (5, 4)
    check_contract(backbone)
    alike = Backbone("stand", 1).eval()
    alike.load_state_dict(backbone.eval().state_dict())
    x = torch.randn(2, 1, 13, 17)
    torch.testing.assert_close(alike(x, SIZES).map, backbone(x, SIZES).map)


def test_weights_come_by_name_and_the_head_is_left_out(timm, tmp_path):
    backbone = Backbone("stand", 1)
    given = {
        re.sub(r"^stages_", "stages.", name): torch.randn_like(weight)
        for name, weight in backbone.model.state_dict().items()
        if weight.is_floating_point()
    }
    save_file(given | {"head.fc.weight": torch.zeros(1000, 5)}, tmp_path / "w.safetensors")
    load_backbone(backbone, tmp_path / "w.safetensors")
    for name, weight in given.items():
        assert torch.equal(backbone.model.state_dict()[name.replace("stages.", "stages_")], weight)


def test_weights_that_do_not_fit_are_one_line(timm, tmp_path):
    backbone, file = Backbone("stand", 1), tmp_path / "w.safetensors"
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    given = {name: torch.ones_like(weight) for name, weight in backbone.model.state_dict().items()}
    save_file(given | {"stages_1.bias": torch.zeros(7)}, file)
    with pytest.raises(ValueError, match=r"w.safetensors: expected stages_1.bias of stand to be \[5\]; got \[7\]$"):
        load_backbone(backbone, file)
    del given["norm.weight"]
    save_file(given, file)
    with pytest.raises(ValueError, match=r"expected the weights of stand; got none for norm.weight$"):
        load_backbone(backbone, file)
    file.write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=r"w.safetensors: expected weights in safetensors; got [^\n]+$"):
        load_backbone(backbone, file)
    with pytest.raises(ValueError, match=r"none.safetensors: expected weights in safetensors; got [^\n]+$"):
        load_backbone(backbone, tmp_path / "none.safetensors")
    assert all(torch.equal(before[name], weight) for name, weight in backbone.state_dict().items())


def test_errors_name_what_was_expected(timm):
    error = "name must be a model of timm that gives maps; got 'resnet': Unknown model (resnet)"
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        Backbone("resnet")
    with pytest.raises(ValueError, match=r"^channels must be at least 1; got 0$"):
        Backbone("stand", 0)
    backbone = Backbone("stand", 1)
    error = "x must be images that stand takes; got [2, 1, 13, 16]: Input width (16) doesn't match model"
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        backbone(torch.zeros(2, 1, 13, 16), torch.tensor([[13, 16], [5, 9]]))
    with pytest.raises(ValueError, match=r"^x must be \[batch, 1, height, width\]; got \[2, 3, 13, 17\]$"):
        backbone(torch.zeros(2, 3, 13, 17), SIZES)


@pytest.mark.parametrize("broken", [False, True])
def test_without_timm_the_extra_is_named(monkeypatch, tmp_path, broken):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    if broken:  # as with a torchvision that does not fit
        (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
        monkeypatch.syspath_prepend(tmp_path)
    else:
        monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"^this needs timm, .*: pip install 'saccade\[backbones\]'$"):
        Backbone("resnet18")


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet", "test_vit"])
def test_models_of_timm_itself(name, tmp_path):
    try:
        import timm
    except Exception as error:
        pytest.skip(f"timm cannot be imported: {type(error).__name__}")
    try:
        whole = timm.create_model(name, pretrained=False, in_chans=1)
    except RuntimeError:
        pytest.skip(f"this timm has no {name}")
    backbone = Backbone(name, 1)
    save_file({key: weight.contiguous() for key, weight in whole.state_dict().items()}, tmp_path / "w.safetensors")
    load_backbone(backbone, tmp_path / "w.safetensors")
    x = torch.randn(2, 1, 160, 160)
    found = backbone.eval()(x, torch.tensor([[160, 160], [33, 64]]))
    side = 160 // backbone.stride
    assert found.map.shape == (2, backbone.dim, side, side)
    assert found.sizes.tolist() == [[side, side], backbone.grid(torch.tensor([33, 64])).tolist()]
    if name == "test_resnet":  # nothing stands between its last map and what it calls features
        torch.testing.assert_close(found.map[:1], whole.eval().forward_features(x)[:1])
