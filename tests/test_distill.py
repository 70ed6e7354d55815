"""Students: whom they copy."""

from __future__ import annotations

import torch

from tests.banks import painted, pictures, tiny_bank
from videostyle.distill import Teacher, mismatch
from videostyle.quality import to_tensor


def test_a_teacher_paints_as_its_bank() -> None:
    bank, photos = tiny_bank(), pictures(2, 24, 32)
    teacher = Teacher(bank, ["sun", "rain"], "cpu", torch.float32)
    _, rain, sun = painted(bank, photos)
    torch.testing.assert_close(teacher(to_tensor(photos), torch.tensor([1, 0])), torch.stack([rain[0], sun[1]]))
    assert teacher.body_hash == bank.body_hash


def test_features_that_are_the_same_do_not_differ() -> None:
    features = {"a": torch.rand(2, 3, 4, 4), "b": torch.rand(2, 5, 2, 2)}
    assert mismatch(features, features).tolist() == [0, 0]
    double = {name: 2 * value for name, value in features.items()}
    torch.testing.assert_close(mismatch(double, features), torch.tensor([2.0, 2.0]))
