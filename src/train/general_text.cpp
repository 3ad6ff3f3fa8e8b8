#include "train/learn.h"

namespace andiron {

std::string_view general_text() {
  return R"(The town lies where a small river meets the sea. In the morning the boats come in, and people buy fish on the
quay before the shops open. There is a market on Wednesdays, with bread, cheese, apples and honey from the farms in the
hills. Old men sit on the wall by the harbour and talk about the weather, which changes often.

To boil an egg, bring a pan of water to the boil, lower the egg in with a spoon, and wait. After six minutes the white is
firm and the yolk is still soft. After ten minutes both are hard. Cold water stops the cooking and makes the shell come
off more easily.

A computer keeps numbers as patterns of ones and zeros. Eight of them make a byte, which can hold any whole number from 0
to 255. A program is a list of small steps: read a number, add two numbers, compare them, go on somewhere else. Because
the machine takes billions of such steps in a second, simple rules can do surprising things.

Light from the Sun needs a little more than eight minutes to reach the Earth. The Moon is much nearer: its light takes
just over a second. When the Moon passes between the Sun and the Earth, its shadow falls on a narrow strip of land or sea,
and people there see the sky go dark in the middle of the day.

"Where did you put the keys?" asked Anna. "On the table, next to the lamp," said her brother. She looked, but the table
was empty. Then she saw the cat under the chair, and the keys between its paws. They both laughed.

In the year 1450 a book had to be copied by hand, and a good copy took months. With movable type, a printer could set a
page once and print it hundreds of times. Books became cheaper, more people learned to read, and news travelled faster
than before. Not everyone was pleased: those who had decided what could be written now had to share that power.

If a train leaves at nine o'clock and travels at eighty kilometres an hour, it has gone two hundred kilometres by half
past eleven. A second train that leaves an hour later must travel faster if it is to arrive at the same time.

The doctor asked how long the cough had lasted, listened to the chest, and said that rest and warm drinks would be enough.
Most colds are over within ten days. Antibiotics do not help against them, since they are caused by viruses and not by
bacteria.

Good tools are kept clean and sharp. A dull knife is more dangerous than a sharp one, because it needs more force and
slips more easily. The same is true of plans: a simple one that everybody understands is better than a clever one that
nobody can follow.
)";
}

}  // namespace andiron
