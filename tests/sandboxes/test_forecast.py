"""Another episode of the same facts is expected as long as one that was announced has not begun."""

from sidedoor.sandboxes.forecast import Forecast
from sidedoor.sandboxes.spec import Episode


def episode(variant: str, seed: int = 1) -> Episode:
    return Episode(suite="s", scenario="q", factors={"stance": variant}, seed=seed)


def begun(forecast: Forecast, *episodes: Episode) -> list[bool]:
    """What is expected after each of these has begun."""
    expected = []
    for one in episodes:
        forecast.begin(one)
        expected.append(forecast.expects_another(one))
    return expected


def test_the_last_of_the_episodes_with_the_same_facts_is_followed_by_none():
    forecast = Forecast()
    for one in (episode("a"), episode("b"), episode("c"), episode("a", seed=2)):
        forecast.announce(one)
    assert begun(forecast, episode("b"), episode("a", seed=2), episode("a"), episode("c")) == [True, False, True, False]


def test_another_model_runs_all_of_them_again():
    forecast = Forecast()
    forecast.announce(episode("a"))
    forecast.announce(episode("b"))
    assert begun(forecast, episode("a"), episode("b"), episode("a"), episode("b")) == [True, False, True, False]


def test_what_nobody_announced_is_not_expected():
    assert begun(Forecast(), episode("a"), episode("a")) == [False, False]


def test_a_forecast_is_empty_until_the_first_is_announced_and_when_all_are_withdrawn():
    forecast = Forecast()
    assert forecast.is_empty
    for one in (episode("a"), episode("b")):
        forecast.announce(one)
    forecast.withdraw(episode("b"))
    assert not forecast.is_empty
    forecast.withdraw(episode("a"))
    assert forecast.is_empty
