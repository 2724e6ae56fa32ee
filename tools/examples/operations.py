"""The examples of the other operations, and one of all of them together."""

from __future__ import annotations

from .graph import CHOOSE, LOOK, WORK, Example, Group, Node, Values, read_me

_CLASSES = """buildings, cassette player, chain saw, church, english springer, forest, french horn,
garbage truck, gas pump, glacier, golf ball, mountain, parachute, sea, street and tench (a fish)"""


def _load(place: tuple[int, int] = (450, 40)) -> Node:
    return Node("load", "RobustLoadClassifier", place, (300, 80), values={"classifier": "canvas"})


def _picture(key: str, name: str, place: tuple[int, int], size: tuple[int, int], title: str = "") -> Node:
    return Node(key, "LoadImage", place, size, title, {"image": f"robust_{name}.png"})


def _mask(key: str, channel: str, place: tuple[int, int], title: str) -> Node:
    values: Values = {"image": "robust_brushes.png", "channel": channel}
    return Node(key, "LoadImageMask", place, (300, 330), title, values)


def _save(
    name: str, source: str, place: tuple[int, int], size: tuple[int, int], title: str = "", slot: int = 0
) -> Node:
    prefix: Values = {"filename_prefix": f"robust/{name}"}
    return Node(f"save {source} {slot}", "SaveImage", place, size, title, prefix, {"images": (source, slot)})


def _seed(key: str, classifier: str, place: tuple[int, int], target: str, count: int, seed: int) -> Node:
    values: Values = {
        "target_class": target,
        "width": 96,
        "height": 96,
        "batch_size": count,
        "seed": seed,
        "control_after_generate": "fixed",
        "method": "class gaussian",
    }
    return Node(key, "RobustClassSeed", place, (300, 270), values=values, inputs={"classifier": (classifier, 0)})


def _translate(key: str, source: str, place: tuple[int, int], preset: Values, target: str) -> Node:
    values: Values = {"target_class": target, **preset, "seed": 0, "control_after_generate": "fixed"}
    inputs = {"classifier": ("load", 0), "image": (source, 0)}
    return Node(key, "RobustTranslate", place, (300, 400), values=values, inputs=inputs)


def _brush(key: str, feature: str, image: str, mask: str, place: tuple[int, int], strength: float, title: str) -> Node:
    values: Values = {"feature": feature, "strength": strength, "preset": "paint"}
    inputs = {"classifier": ("load", 0), "image": (image, 0), "mask": (mask, 0)}
    return Node(key, "RobustActivationPaint", place, (300, 330), title, values, inputs)


def _inpaint(place: tuple[int, int], size: tuple[int, int]) -> Node:
    values: Values = {
        "target_class": "mountain",
        "preset": "inpaint",
        "preset.fill": "surround",
        "seed": 0,
        "control_after_generate": "fixed",
    }
    inputs = {"classifier": ("load", 0), "image": ("picture", 0), "mask": ("picture", 1)}
    return Node("inpaint", "RobustInpaint", place, size, values=values, inputs=inputs)


def _enlarged(key: str, source: str, place: tuple[int, int], size: tuple[int, int], title: str) -> tuple[Node, Node]:
    values: Values = {"upscale_method": "lanczos", "scale_by": 3}
    scale = Node(f"{key} scale", "ImageScaleBy", place, (size[0], 90), values=values, inputs={"image": (source, 0)})
    below = (place[0], place[1] + 170)
    look = Node(key, "PreviewImage", below, (size[0], size[1] - 170), title, inputs={"images": (f"{key} scale", 0)})
    return scale, look


def _stitched(key: str, first: str, second: str, place: tuple[int, int]) -> Node:
    values: Values = {"direction": "right", "spacing_width": 8}
    return Node(
        key, "ImageStitch", place, (300, 150), values=values, inputs={"image1": (first, 0), "image2": (second, 0)}
    )


_INPAINT = Example(
    "inpaint",
    [
        read_me(
            """
## A hole in a photo is filled

The grey patch covers a peak. **Masked Inpaint** looks at what is around it and climbs, on the masked pixels
alone, until the classifier sees a mountain. Every other pixel comes back bit for bit.

### Try this
1. Press **Run**.
2. Load a photo of your own, right-click *Load Image*, **Open in Mask Editor**, and paint over what should go.
3. Write what the picture shows into **target_class**, or leave it empty: the classifier guesses from what is
   visible.
4. Set **fill** to *class seed* or *noise*, and change the **seed**: other fillings.
5. **preset** *custom* has everything: the objective, the paper's penalty, how wide the seam fades.

### What to expect
The classifier has seen pictures of 96 x 96 pixels; it looks at the hole and its surroundings at that size
first, and then adds finer detail. Colours and large shapes fit; textures are its own. It works best in
landscapes. *canvas* knows """
            + _CLASSES
            + "."
        ),
        _load(),
        _picture("picture", "mountain-hole", (450, 190), (300, 590), "A photo with a hole"),
        _inpaint((810, 40), (300, 740)),
        _stitched("beside", "picture", "inpaint", (1170, 40)),
        _save("inpaint", "inpaint", (1170, 270), (300, 510)),
        Node("look", "PreviewImage", (1500, 40), (640, 740), "Before and after", inputs={"images": ("beside", 0)}),
    ],
    [
        Group("1  Choose", (430, -40), (340, 860), CHOOSE),
        Group("2  Fill", (790, -40), (340, 860), WORK),
        Group("3  Look", (1150, -40), (1010, 860), LOOK),
    ],
    "mountain-hole.png",
)

_UPSAMPLE = Example(
    "upsample",
    [
        read_me(
            """
## Four times as large, with the detail of a class

The photo has 96 x 96 pixels. **Upsample** makes it 384 x 384 and climbs towards *english springer*: curls,
edges and an eye appear that plain enlarging blurs. Averaged back down, the result is the photo it came from.

### Try this
1. Press **Run**, and compare: bicubic on the left, Upsample on the right.
2. Set **factor** from 2 to 8.
3. Load a small picture of your own, and write what it shows into **target_class**, or leave it empty.
4. Write something it is *not*: the detail changes, the picture does not.

### What to expect
Crisper edges and textures, always true to the input: nothing can move. The detail is the classifier's idea of
the class, not what the camera missed. It takes time in proportion to the pixels of the result. *canvas* knows
"""
            + _CLASSES
            + "."
        ),
        _load(),
        _picture("picture", "spaniel", (450, 190), (300, 590), "A small photo"),
        Node(
            "upsample",
            "RobustUpsample",
            (810, 40),
            (300, 360),
            values={"factor": 4, "target_class": "english springer", "preset": "upsample"},
            inputs={"classifier": ("load", 0), "image": ("picture", 0)},
        ),
        Node(
            "bicubic",
            "ImageScaleBy",
            (810, 480),
            (300, 110),
            "For comparison",
            {"upscale_method": "bicubic", "scale_by": 4},
            {"image": ("picture", 0)},
        ),
        _stitched("beside", "bicubic", "upsample", (1170, 40)),
        _save("upsample", "upsample", (1170, 270), (300, 510)),
        Node("look", "PreviewImage", (1500, 40), (760, 740), "Bicubic, Upsample", inputs={"images": ("beside", 0)}),
    ],
    [
        Group("1  Choose", (430, -40), (340, 860), CHOOSE),
        Group("2  Enlarge", (790, -40), (340, 860), WORK),
        Group("3  Look", (1150, -40), (1130, 860), LOOK),
    ],
    "spaniel.png",
)

_PAINT = Example(
    "paint",
    [
        read_me(
            """
## Three brushes: a lake, a forest, parachutes

A classifier has learned hundreds of **features**: waves, spruces, windows, peaks. **Activation Paint** is a
brush that paints one of them under a mask, by climbing until the feature fires. Here three follow each other:
the meadow becomes a lake, the slope a forest, and something floats in the sky.

### Try this
1. Press **Run**, and watch the three previews.
2. Change a **feature**: 213 grows fur, 319 spaniels, 91 slopes, 343 facades. *canvas*
   has 0 to 383.
3. Mix them, as the first two brushes do: **107:1, 366:0.5**. A minus paints a feature away.
4. Your own brushes: the masks are the red, green and blue parts of *robust_brushes.png*; load another, or use
   the Mask Editor.
5. No number at hand? Wire a picture into **reference**, and what it shows is painted. Or see the example
   *features*.

### What to expect
Features are stubborn: each one paints what it knows, wherever you put it. Outside the masks no pixel changes.
"""
        ),
        _load(),
        _picture("picture", "mountain", (450, 190), (300, 330), "What to paint on"),
        _mask("red", "red", (810, 40), "Where the lake goes"),
        _brush("lake", "107:1, 366:0.5", "picture", "red", (810, 460), 1.0, "Brush 1: a lake"),
        _mask("green", "green", (1150, 40), "Where the forest goes"),
        _brush("forest", "273:1, 331:0.5", "lake", "green", (1150, 460), 1.0, "Brush 2: a forest"),
        _mask("blue", "blue", (1490, 40), "Where the parachutes go"),
        _brush("parachutes", "329:1, 113:1", "forest", "blue", (1490, 460), 1.0, "Brush 3: parachutes"),
        Node("look 1", "PreviewImage", (1850, 40), (300, 250), "After brush 1", inputs={"images": ("lake", 0)}),
        Node("look 2", "PreviewImage", (1850, 380), (300, 250), "After brush 2", inputs={"images": ("forest", 0)}),
        _save("paint", "parachutes", (2180, 40), (620, 740), "After brush 3"),
    ],
    [
        Group("1  Choose", (430, -40), (340, 900), CHOOSE),
        Group("2  Paint, brush after brush", (790, -40), (1020, 900), WORK),
        Group("3  Look", (1830, -40), (990, 900), LOOK),
    ],
    "mountain.png",
)

_FEATURES = Example(
    "features",
    [
        read_me(
            """
## What does the classifier see there?

**Find Features** looks at the masked region, here the peak in the photo, and lists the features that fire
most, with a picture of what each one looks like: a climb from noise to that feature alone. Under each: its
number, how strongly it fires, and the class it speaks for most.

Its text output plugs into **Activation Paint**, which paints the same features somewhere else.

### Try this
1. Press **Run**.
2. Load a photo of your own and mark a region in the Mask Editor: a face, a window, a tree.
3. Write one of the numbers into **feature** of a brush in the example *paint*.
4. Change **count**: fewer features paint a purer texture.

### What to expect
A feature is what *one unit* of the network has learned, and may be a strange mixture. The sheet is how it
explains itself.
"""
        ),
        _load(),
        _picture("region", "mountain-hole", (450, 190), (300, 260), "Its mask is the region"),
        _picture("picture", "mountain", (450, 500), (300, 280), "The photo"),
        Node(
            "features",
            "RobustFeatures",
            (810, 40),
            (300, 180),
            values={"count": 8},
            inputs={"classifier": ("load", 0), "image": ("picture", 0), "mask": ("region", 1)},
        ),
        Node("text", "PreviewAny", (810, 290), (300, 120), "As text", inputs={"source": ("features", 0)}),
        Node(
            "meadow",
            "LoadImageMask",
            (810, 480),
            (300, 330),
            "Where to paint them",
            {"image": "robust_brushes.png", "channel": "red"},
        ),
        _save("features", "features", (1170, 40), (720, 500), "What each one looks like", 1),
        Node(
            "paint",
            "RobustActivationPaint",
            (1170, 610),
            (300, 220),
            values={"strength": 1.0, "preset": "paint"},
            inputs={
                "classifier": ("load", 0),
                "image": ("picture", 0),
                "mask": ("meadow", 0),
                "feature": ("features", 0),
            },
        ),
        Node("look", "PreviewImage", (1490, 610), (400, 320), "Painted elsewhere", inputs={"images": ("paint", 0)}),
    ],
    [
        Group("1  Choose", (430, -40), (340, 1000), CHOOSE),
        Group("2  Find", (790, -40), (340, 1000), WORK),
        Group("3  Look, and use them", (1150, -40), (760, 1000), LOOK),
    ],
)

_OWN_SEEDS = Example(
    "own-seeds",
    [
        read_me(
            """
## Mountains as in your own pictures

**Class-Conditional Seed** starts from the colours and the layout of a class's training pictures. **Fit Class
Seeds** replaces them by those of *your* pictures: here four autumn views, so that mountains rise behind orange
woods and green meadows.

### Try this
1. Press **Run**: above with your seeds, below with the ones that ship; the same random seeds, the same climb.
2. Load pictures of your own, ten or more are best, and name their class in both nodes.
3. To keep the seeds, right-click **Save Robust Classifier**, set its mode to *always*, and run: the file is then
   listed by *Load Robust Classifier* (press R).

### What to expect
The start decides colours and layout, the climb the rest. Pictures that resemble each other give seeds that do.
"""
        ),
        _load((450, 40)),
        *(
            _picture(
                f"view {n}", f"autumn-{n}", (450 + (n - 1) % 2 * 180, 190 + (n - 1) // 2 * 320), (170, 290), f"View {n}"
            )
            for n in (1, 2, 3, 4)
        ),
        Node("two", "ImageBatch", (830, 190), (200, 60), inputs={"image1": ("view 1", 0), "image2": ("view 2", 0)}),
        Node("three", "ImageBatch", (830, 320), (200, 60), inputs={"image1": ("two", 0), "image2": ("view 3", 0)}),
        Node("four", "ImageBatch", (830, 450), (200, 60), inputs={"image1": ("three", 0), "image2": ("view 4", 0)}),
        Node(
            "fit",
            "RobustFitSeeds",
            (1070, 40),
            (300, 120),
            values={"target_class": "mountain"},
            inputs={"classifier": ("load", 0), "image": ("four", 0)},
        ),
        Node(
            "keep",
            "RobustSaveClassifier",
            (1070, 230),
            (300, 90),
            "Save Robust Classifier (muted)",
            {"filename": "autumn mountains"},
            {"classifier": ("fit", 0)},
            muted=True,
        ),
        _seed("own", "fit", (1070, 400), "mountain", 4, 20),
        _seed("usual", "load", (1070, 740), "mountain", 4, 20),
        _translate("climb own", "own", (1410, 40), {"preset": "generate"}, "mountain"),
        _translate("climb usual", "usual", (1410, 520), {"preset": "generate"}, "mountain"),
        _save("own-seeds", "climb own", (1770, 40), (300, 400), "With your seeds"),
        *_enlarged("look own", "climb own", (2100, 40), (520, 480), "With your seeds, enlarged"),
        *_enlarged("look usual", "climb usual", (2100, 560), (520, 480), "With the bundled seeds, enlarged"),
    ],
    [
        Group("1  Your pictures", (430, -40), (380, 1140), CHOOSE),
        Group("2  Fit, start, climb", (820, -40), (910, 1140), WORK),
        Group("3  Look", (1750, -40), (890, 1140), LOOK),
    ],
)

_HASTY: Values = {
    "preset": "custom",
    "preset.steps": 3,
    "preset.step_size": 8.0,
    "preset.norm": "free",
    "preset.objective": "logit",
}

_REFINE = Example(
    "refine",
    [
        read_me(
            """
## A slight push makes any picture better

On the left is a generator in a hurry: three steps from a class seed. The preset **refine** moves each picture a
tiny way, at most an epsilon of 5, towards its class. It remains the same picture, and the classifier is surer of
it: compare the charts. (The idea is BIGROC's: a robust classifier improves the output of *any* generator.)

### Try this
1. Press **Run**.
2. Wire the output of any other generator or node into **Refine**, small or large.
3. Empty **target_class**: each picture is pushed towards what the classifier itself sees in it.
4. Twice is more: put a second *refine* after the first.

### What to expect
Cleaner edges and clearer objects, the same composition. What the classifier does not know it cannot refine:
*canvas* knows """
            + _CLASSES
            + "."
        ),
        _load(),
        _seed("seed", "load", (450, 190), "church", 4, 101),
        _translate("hasty", "seed", (810, 40), _HASTY, "church"),
        _translate("refine", "hasty", (1150, 40), {"preset": "refine"}, "church"),
        _stitched("beside", "hasty", "refine", (810, 620)),
        *_enlarged("look before", "hasty", (1510, 40), (400, 560), "Before"),
        *_enlarged("look after", "refine", (1930, 40), (400, 560), "After"),
        Node(
            "classify before",
            "RobustClassify",
            (1510, 640),
            (400, 90),
            values={"top_k": 3},
            inputs={"classifier": ("load", 0), "image": ("hasty", 0)},
        ),
        Node(
            "classify after",
            "RobustClassify",
            (1930, 640),
            (400, 90),
            values={"top_k": 3},
            inputs={"classifier": ("load", 0), "image": ("refine", 0)},
        ),
        Node(
            "chart before", "PreviewImage", (1510, 800), (400, 260), "Before", inputs={"images": ("classify before", 2)}
        ),
        Node("chart after", "PreviewImage", (1930, 800), (400, 260), "After", inputs={"images": ("classify after", 2)}),
        _save("refine", "beside", (1150, 620), (300, 440), "Before and after"),
    ],
    [
        Group("1  Choose", (430, -40), (340, 1140), CHOOSE),
        Group("2  Generate in a hurry, then refine", (790, -40), (680, 1140), WORK),
        Group("3  Look", (1490, -40), (860, 1140), LOOK),
    ],
)

_EVERYTHING = Example(
    "everything",
    [
        read_me(
            """
## Everything in one graph

One classifier, every operation. Take it apart: each coloured frame works by itself; copy what you need.

- **Generate**: a seed in the colours of *mountain*, a climb, and four times as many pixels with *Upsample*.
- **Mend and paint**: a hole is filled, a lake is painted over the meadow, and *refine* gives the whole a slight
  push.
- **Understand**: what the classifier sees in the result, as a chart and as features.

### Try this
1. Press **Run**; only what you change runs again the next time.
2. Wire the generated picture into the brush, or the photo into *Upsample*.
3. Put nodes of other packs between ours: all of them speak IMAGE and MASK.
"""
        ),
        _load((450, 40)),
        _seed("seed", "load", (450, 200), "mountain", 1, 105),
        _translate("generate", "seed", (790, 40), {"preset": "generate"}, "mountain"),
        Node(
            "upsample",
            "RobustUpsample",
            (1130, 40),
            (300, 300),
            values={"factor": 4, "target_class": "mountain", "preset": "upsample"},
            inputs={"classifier": ("load", 0), "image": ("generate", 0)},
        ),
        _save("everything", "upsample", (1470, 40), (420, 420), "Generated, four times as large"),
        _picture("picture", "mountain-hole", (450, 640), (300, 400), "A photo with a hole"),
        _inpaint((790, 640), (300, 420)),
        _mask("meadow", "red", (790, 1140), "Where the lake goes"),
        _brush("lake", "107:1, 366:0.5", "inpaint", "meadow", (1130, 640), 1.0, "A lake"),
        _translate("refine", "lake", (1130, 1050), {"preset": "refine"}, ""),
        _save("everything", "refine", (1470, 640), (420, 420), "Mended, painted, refined"),
        Node(
            "classify",
            "RobustClassify",
            (1930, 40),
            (420, 90),
            values={"top_k": 5},
            inputs={"classifier": ("load", 0), "image": ("refine", 0)},
        ),
        Node("chart", "PreviewImage", (1930, 200), (420, 300), "What it sees", inputs={"images": ("classify", 2)}),
        Node(
            "features",
            "RobustFeatures",
            (1930, 640),
            (420, 150),
            values={"count": 4},
            inputs={"classifier": ("load", 0), "image": ("refine", 0), "mask": ("meadow", 0)},
        ),
        Node(
            "sheet",
            "PreviewImage",
            (1930, 860),
            (420, 360),
            "What the lake is to it",
            inputs={"images": ("features", 1)},
        ),
    ],
    [
        Group("Generate, and enlarge", (430, -40), (1480, 580), CHOOSE),
        Group("Mend and paint a photo", (430, 570), (1480, 960), WORK),
        Group("Understand", (1910, -40), (460, 1570), LOOK),
    ],
)

EXAMPLES = (_INPAINT, _UPSAMPLE, _PAINT, _FEATURES, _OWN_SEEDS, _REFINE, _EVERYTHING)
