from pathlib import Path

import pytest

from runtime.config import EMBEDDED_MODEL, ServeSettings, SettingsError, read_settings


def test_the_defaults_serve_the_embedded_model_to_this_machine_alone() -> None:
    settings = read_settings({}, {})
    assert settings == ServeSettings(host="127.0.0.1", port=8765, model=EMBEDDED_MODEL, threads=None, api_key=None)
    assert settings.on_loopback
    assert settings.model.parent.name == "runtime"


def test_the_environment_is_read() -> None:
    environment = {
        "OMNI_HOST": "0.0.0.0",
        "OMNI_PORT": "9000",
        "OMNI_MODEL": "/models/small",
        "OMNI_THREADS": "2",
        "OMNI_API_KEY": "sesame",
        "OMNI_ALLOWED_ORIGINS": "https://a.example, https://b.example,",
        "PORT": "1",
    }
    settings = read_settings({}, environment)
    assert (settings.host, settings.port, settings.threads) == ("0.0.0.0", 9000, 2)
    assert settings.model == Path("/models/small")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sesame"
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert not settings.on_loopback


def test_an_option_goes_before_the_environment_and_an_option_not_given_does_not() -> None:
    environment = {"OMNI_PORT": "9000", "OMNI_HOST": "127.0.0.9"}
    settings = read_settings({"port": 0, "host": None}, environment)
    assert (settings.port, settings.host) == (0, "127.0.0.9")


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ({"port": 70000}, {}, "port 70000: Input should be less than or equal to 65535"),
        ({}, {"OMNI_PORT": "many"}, "OMNI_PORT 'many': Input should be a valid integer"),
        ({}, {"OMNI_THREADS": "0"}, "OMNI_THREADS '0': Input should be greater than or equal to 1"),
        ({"threads": 0}, {"OMNI_THREADS": "1"}, "threads 0: Input should be greater than or equal to 1"),
        ({"host": ""}, {}, "host '': String should have at least 1 character"),
        ({"speed": 3}, {}, "unknown setting speed; allowed: host, port, model"),
    ],
)
def test_what_is_wrong_is_named_as_the_person_wrote_it(
    options: dict[str, object], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(options, environment)
    assert str(caught.value).startswith(said)


def test_an_empty_key_neither_opens_the_door_nor_is_a_key() -> None:
    with pytest.raises(SettingsError, match=r"OMNI_API_KEY: is empty; give a key"):
        read_settings({}, {"OMNI_API_KEY": " "})


def test_the_key_is_not_shown() -> None:
    assert "sesame" not in repr(read_settings({"api_key": "sesame"}, {}))
    with pytest.raises(SettingsError) as caught:
        read_settings({"api_key": 12345678}, {})
    assert "12345678" not in str(caught.value)


def test_keys_and_limits_by_name() -> None:
    settings = read_settings({}, {"OMNI_API_KEYS": "phone=abc, web=a=b", "OMNI_LIMITS": "sessions=2,steps=100"})
    assert {name: key.get_secret_value() for name, key in settings.api_keys.items()} == {"phone": "abc", "web": "a=b"}
    assert settings.limits == {"sessions": 2, "steps": 100}
    with pytest.raises(SettingsError, match=r"^OMNI_API_KEYS: .*name=value") as refused:
        read_settings({}, {"OMNI_API_KEYS": "topsecret"})
    assert "topsecret" not in str(refused.value)
