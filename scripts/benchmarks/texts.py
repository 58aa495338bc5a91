"""What the speech benchmarks read, beside the prose of `workload`: two answers in Markdown, and one in Chinese.

All are of the kind that a language model writes. The first is full of marks, one in every twelve characters:
headings, lists, emphasis, links, code, a table, emoji. The second has half as many, as well-structured answers
usually have. The third has full-width marks and no blanks.
"""

from __future__ import annotations

__all__ = ["CHINESE", "MARKDOWN", "USUAL_MARKDOWN"]

MARKDOWN = """\
## How to set up the weather station 🌦️

Great choice! The **Meadow 3** is easy to build, and you only need *two* tools: a screwdriver and a `10 mm` key.

### What is in the box

- **Sensor head** with the wind vane (fragile!)
- Solar panel, about 2.5 watts
- A bag of screws: 8 × M4 and 4 × M6
  - The long ones are for the *mast*.
- [x] The quick-start card

1. Push the vane onto the shaft until it clicks.
2. Tighten the **grub screw**, but not too much.
3. Connect the cable to port `J2`, *never* to `J3`.

> **Note:** The head must point north. A phone's compass is good enough, see [the calibration page](https://meadow.example/docs/calibration?step=2).

Then install the command line tool and read the first values:

```bash
pip install meadow-tools
meadow read --port /dev/ttyUSB0 --every 10s
```

If all is well, you will see something like this table:

| Value | Now | Unit |
|-------|----:|------|
| Temperature | 21.4 | °C |
| Humidity | 48 | % |
| Wind | 3.1 | m/s |

It costs $5 a month to keep the values online, or $50 a year. The dew point is roughly $T - (100 - RH)/5$, which is \
*close enough* for a garden. Is the wind always zero? Then the vane is ~~upside down~~ loose: \
lift it, turn it by hand, and call `reset()`. 🎉

---

Would you like **more detail** on any of these steps? The full manual is at https://www.meadow.example/manual.pdf \
and the forum at <https://forum.meadow.example>.
"""

USUAL_MARKDOWN = """\
# Keeping a sourdough starter alive

A starter is a mix of flour and water in which wild yeast lives. It needs **food**, **warmth** and a little \
patience. Here is a routine that works in most kitchens.

## Every day

1. **Throw half of it away.** This sounds wasteful, but otherwise you would soon need a bathtub to keep it in.
2. **Feed what is left.** Give it the same weight of flour and of water, and stir until no dry spots remain.
3. **Wait until it has doubled.** In a warm room that takes *four to six hours*; in a cold one it may take all day.

## When something looks wrong

- A grey liquid on top is only alcohol. Pour it off or stir it in, and feed the starter sooner next time.
- A smell of nail varnish means that it is hungry. Feed it twice a day until the smell is gone.
- **Pink or orange streaks** are a bad sign. Throw everything away, wash the jar, and begin again.

If you like to keep notes, a line for each feeding is enough:

```text
Monday 8:00   50 g flour, 50 g water, 21 degrees
Monday 14:00  doubled
```

> Rye flour wakes a tired starter better than anything else.

For a longer break, put the jar into the fridge and feed it **once a week**. Before you bake, take it out the \
evening before and feed it `twice`. There is more about timing in \
[this guide](https://bread.example/guide/timing). Would you like a recipe to go with it? 🍞
"""

CHINESE = """\
这家面包店在太阳升起之前就开门了。六点钟的时候，第一批面包已经摆上了架子，香味一直飘到街道的尽头。安娜从春天起就在这里工作，\
她最喜欢开门之前那段安静的时间。大多数客人每天都买同样的东西，所以他们一进门，她就已经准备好了。你知道吗？那个烤炉比这栋房子还要老！\
它是一块砖一块砖地从另一个村子搬过来的。谁也不知道它还能不能用，结果它真的又热起来了。

去年冬天，河水涨得比任何人记忆中都高，一直淹到第二级台阶。水停留了两天才退去，在墙上留下一条细细的泥线。安娜在四月把墙重新刷了一遍，\
但是保留了那条线。现在还经常有人问起它，她就告诉他们当时船拴在哪里，面包又是怎样从窗口递出去的。

如果你打算去看看，最好选一个工作日，并且早一点到。店门口有一张长椅，你可以坐在那里看集市慢慢摆起来。电车就停在广场对面，不需要开车。\
请带一些零钱，因为刷卡机常常坏掉。别忘了尝尝香芹籽黑麦面包！它每周只烤两次，九点以前通常就卖完了。要不要我帮你查一下营业时间？\
我也可以推荐一条沿着老运河散步的路线，大约四十分钟，终点就在车站附近。
"""
