"""What is listed without imports is what there is."""

from gp_emq.files import literal_calls
from gp_emq.quantization.recipes import list_recipes
from primitives import load_primitive_set, primitive_set_names


def test_the_primitive_sets_are_read_as_they_are() -> None:
    found = [values[:2] for values, _ in literal_calls("primitives", "PrimitiveSet")]
    assert found == [[name, load_primitive_set(name).description] for name in primitive_set_names()]


def test_the_recipes_are_read_as_they_are() -> None:
    found = {
        (*values[:2], named.get("iterations", 0))
        for values, named in literal_calls("gp_emq.quantization.recipes", "Recipe")
    }
    assert found == {
        (recipe.name, recipe.description, recipe.iterations) for recipe in list_recipes()
    }


def test_what_is_no_plain_value_is_left_out(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "package_of_literals"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "one.py").write_text("made = Thing('a', 1 + 1, 'b', x=3, y=[4])\nOther('c')")
    (folder / "_private.py").write_text("Thing('d')")
    monkeypatch.syspath_prepend(tmp_path)
    assert literal_calls("package_of_literals", "Thing") == [(["a", "b"], {"x": 3})]
    assert literal_calls("no_such_package", "Thing") == []
