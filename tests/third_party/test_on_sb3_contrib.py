"""sb3-contrib: RecurrentPPO, whose actor and critic have an LSTM each, in its own rollouts and training."""

import numpy as np
from opened_models import assert_same, needed, opened, writes_a_page

import gatewise as gw

sb3_contrib = needed("sb3_contrib")


def agent():
    return sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy",
        "CartPole-v1",
        n_steps=16,
        batch_size=8,
        n_epochs=1,
        seed=0,
        device="cpu",
        policy_kwargs={"lstm_hidden_size": 8, "net_arch": [8]},
    )


def test_an_episode_is_one_trace(note, tmp_path):
    player = agent()
    played = []

    def play():
        env = player.get_env()
        env.seed(3)
        observation, state, start, seen = env.reset(), None, np.ones(1, bool), []
        for _ in range(6):
            action, state = player.predict(observation, state=state, episode_start=start, deterministic=True)
            observation, _, start, _ = env.step(action)
            seen.append(observation.copy())
        played[:] = seen
        return [*seen, *state]

    trace = opened("sb3-contrib RecurrentPPO", player.policy, play, note)
    assert len(trace["lstm_actor"].calls) == 6 and not trace["lstm_critic"].calls
    episode = trace["lstm_actor"].concat()
    assert len(episode[0].h) == 6
    writes_a_page(tmp_path, episode, times=range(6))


def test_learning_goes_the_same_way_while_it_is_recorded():
    plain = agent()
    plain.learn(32)
    recorded = agent()  # seeds the generators anew
    with gw.record(recorded.policy) as trace:
        recorded.learn(32)
    assert_same(plain.policy.state_dict(), recorded.policy.state_dict())
    assert trace["lstm_actor"].calls and trace["lstm_critic"].calls
    assert max(lt.residual for lt in trace.layers()) <= 1e-6
