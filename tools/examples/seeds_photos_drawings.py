"""The examples of Translate to Class: from seeds, from photos, from drawings."""

from __future__ import annotations

from .graph import CHOOSE, LOOK, WORK, Example, Group, Node, read_me

_GENERATE = Example(
    "generate",
    [
        read_me(
            """
## Pictures out of nothing but a class

A classifier knows what a church looks like. **Class-Conditional Seed** draws blurry blobs in a church's
usual colours; **Translate to Class** then changes the pixels, step by step, until the classifier is
convinced. No diffusion model, no prompt, no download.

### Try this
1. Press **Run**: four churches, in a second or two even without a graphics card.
2. For four others, change the **seed** in *Class-Conditional Seed* (or set *control after generate* to
   *randomize*).
3. Type another class into **What to make**. It feeds both nodes. The *canvas* classifier knows buildings,
   cassette player, chain saw, church, english springer, forest, french horn, garbage truck, gas pump,
   glacier, golf ball, mountain, parachute, sea, street and tench (a fish).
4. Mix classes: **sea:0.7, mountain:0.3**.

### What to expect
Small, soft, painterly pictures: impressions rather than photos. The classifier sees 96 x 96 pixels; for a
larger width and height see the example *large*. The preview on the right is merely enlarged four times.
"""
        ),
        Node("class", "PrimitiveString", (450, 40), (280, 60), "What to make", {"value": "church"}),
        Node("load", "RobustLoadClassifier", (450, 190), (280, 80), values={"classifier": "canvas"}),
        Node(
            "seed",
            "RobustClassSeed",
            (790, 40),
            (300, 240),
            values={
                "width": 96,
                "height": 96,
                "batch_size": 4,
                "seed": 108,
                "control_after_generate": "fixed",
                "method": "class gaussian",
            },
            inputs={"classifier": ("load", 0), "target_class": ("class", 0)},
        ),
        Node(
            "translate",
            "RobustTranslate",
            (790, 350),
            (300, 430),
            values={"preset": "generate", "seed": 0, "control_after_generate": "fixed"},
            inputs={"classifier": ("load", 0), "image": ("seed", 0), "target_class": ("class", 0)},
        ),
        Node(
            "enlarge",
            "ImageScaleBy",
            (1150, 40),
            (280, 90),
            values={"upscale_method": "lanczos", "scale_by": 4},
            inputs={"image": ("translate", 0)},
        ),
        Node(
            "save",
            "SaveImage",
            (1150, 220),
            (280, 560),
            values={"filename_prefix": "robust/generate"},
            inputs={"images": ("translate", 0)},
        ),
        Node("look", "PreviewImage", (1460, 40), (540, 740), "Enlarged", inputs={"images": ("enlarge", 0)}),
    ],
    [
        Group("1  Choose a class", (430, -40), (320, 860), CHOOSE),
        Group("2  Start blurry, then climb", (770, -40), (340, 860), WORK),
        Group("3  Look", (1130, -40), (890, 860), LOOK),
    ],
)


_LARGE = Example(
    "large",
    [
        read_me(
            """
## 1024 x 1024 from a classifier that sees 96 x 96

The first climb makes the picture at the classifier's own size, so it holds together. Then **Translate to
Class** goes on in copies twice as large each time: the classifier looks at them in tiles, which lie
elsewhere at each step, and adds what a street shows from close by.

### Try this
1. Press **Run**: some seconds on a processor. The preview on the node shows it getting sharper.
2. Another **seed** in *Class-Conditional Seed*, another class in **What to make**: mountain, sea, forest,
   glacier, church. Any **width** and **height** do: 1600 x 640 is a panorama.
3. **animate** (among the advanced inputs of *Translate to Class*) takes a picture every so many steps: wire
   **frames** into *Create Video* for a film of the climb.
4. More or less detail: set **preset** to *custom*, **norm** to *free*, and change **detail_steps**.

### What to expect
One picture, not a mosaic, painted in the classifier's own strokes. Close by it is a texture, not a photo.
"""
        ),
        Node("class", "PrimitiveString", (450, 40), (280, 60), "What to make", {"value": "street"}),
        Node("load", "RobustLoadClassifier", (450, 190), (280, 80), values={"classifier": "canvas"}),
        Node(
            "seed",
            "RobustClassSeed",
            (790, 40),
            (300, 240),
            values={
                "width": 1024,
                "height": 1024,
                "batch_size": 1,
                "seed": 100,
                "control_after_generate": "fixed",
                "method": "class gaussian",
            },
            inputs={"classifier": ("load", 0), "target_class": ("class", 0)},
        ),
        Node(
            "translate",
            "RobustTranslate",
            (790, 350),
            (300, 430),
            values={"preset": "generate", "seed": 0, "control_after_generate": "fixed"},
            inputs={"classifier": ("load", 0), "image": ("seed", 0), "target_class": ("class", 0)},
        ),
        Node(
            "save",
            "SaveImage",
            (1150, 40),
            (850, 740),
            values={"filename_prefix": "robust/large"},
            inputs={"images": ("translate", 0)},
        ),
    ],
    [
        Group("1  Choose a class", (430, -40), (320, 860), CHOOSE),
        Group("2  Start blurry, climb, refine", (770, -40), (340, 860), WORK),
        Group("3  Look", (1130, -40), (890, 860), LOOK),
    ],
)


def _from_picture(
    name: str,
    note: str,
    classifier: str,
    picture: str,
    target: str,
    preset: str,
    *,
    masked: bool,
    classified: bool = False,
) -> Example:
    """A picture goes in, its translation comes out, and both are shown side by side."""
    into = {"classifier": ("load", 0), "image": ("picture", 0)} | ({"mask": ("picture", 1)} if masked else {})
    nodes = [
        read_me(note),
        Node("load", "RobustLoadClassifier", (450, 40), (300, 80), values={"classifier": classifier}),
        Node("picture", "LoadImage", (450, 190), (300, 590), values={"image": f"robust_{picture}.png"}),
        Node(
            "translate",
            "RobustTranslate",
            (810, 40),
            (300, 740),
            values={
                "target_class": target,
                "preset": preset,
                "seed": 0,
                "control_after_generate": "fixed",
            },
            inputs=into,
        ),
        Node(
            "beside",
            "ImageStitch",
            (1170, 40),
            (300, 150),
            values={"direction": "right", "spacing_width": 8},
            inputs={"image1": ("picture", 0), "image2": ("translate", 0)},
        ),
        Node(
            "save",
            "SaveImage",
            (1170, 270),
            (300, 510),
            values={"filename_prefix": f"robust/{name}"},
            inputs={"images": ("translate", 0)},
        ),
        Node(
            "look",
            "PreviewImage",
            (1500, 40),
            (520, 270 if classified else 740),
            "Before and after",
            inputs={"images": ("beside", 0)},
        ),
    ]
    if classified:
        nodes += [
            Node(
                "classify",
                "RobustClassify",
                (1500, 380),
                (520, 90),
                values={"top_k": 4},
                inputs={"classifier": ("load", 0), "image": ("translate", 0)},
            ),
            Node(
                "chart",
                "PreviewImage",
                (1500, 560),
                (520, 225),
                "What the classifier sees now",
                inputs={"images": ("classify", 2)},
            ),
        ]
    groups = [
        Group("1  Choose", (430, -40), (340, 860), CHOOSE),
        Group("2  Climb", (790, -40), (340, 860), WORK),
        Group("3  Look", (1150, -40), (890, 860), LOOK),
    ]
    return Example(name, nodes, groups, f"{picture}.png")


_TRANSLATE = _from_picture(
    "translate",
    """
## Summer becomes winter

The *seasons* classifier has learned to tell summer from winter in photos of one valley. **Translate to
Class** changes a summer picture, a little at every step, until the classifier sees winter. The
composition stays.

### Try this
1. Press **Run**.
2. Load a landscape of your own, of any size: the result keeps its size and its fine detail.
3. Winter to summer: write **summer** into **target_class**.
4. Change only a part: right-click *Load Image*, **Open in Mask Editor**, and paint where the picture may
   change. Outside of it, it stays as it is, bit for bit. With nothing painted, all of it may change.
5. Too much or too little? Set **preset** to *custom* and change **epsilon**, how far the picture may go
   (linf keeps each pixel on its own leash, l2 all of them together).

### What to expect
Colours, light and texture shift; nothing is moved or added. No snow falls where there was a tree: green turns
pale and cold. The seed changes nothing here, because this preset has no random part.
""",
    "seasons",
    "summer",
    "winter",
    "translate",
    masked=True,
)

_STYLE = _from_picture(
    "style",
    """
## A photo becomes a painting

The *styles* classifier tells four kinds of pictures apart: photo, art painting, cartoon and sketch.
**Translate to Class** changes a photo until it looks like a painting to it.

### Try this
1. Press **Run**.
2. Load a picture of your own, of any size.
3. Write another style into **target_class**: **cartoon**, **sketch**, **photo**, or a mix: `cartoon:0.6,
   sketch:0.4`.
4. Change only a part: right-click *Load Image*, **Open in Mask Editor**, and paint where the style may
   change.
5. Bolder or gentler: set **preset** to *custom* and change **epsilon** and **steps**.

### What to expect
A change of colour, contrast and stroke on top of the picture you gave, not a new painting of it.
**Classify Image** shows, as bars, what the classifier now sees.
""",
    "styles",
    "photo",
    "art painting",
    "translate",
    masked=True,
    classified=True,
)

_SKETCH = _from_picture(
    "sketch",
    """
## A drawing becomes a picture

A simple drawing is enough: with the preset *sketch*, **Translate to Class** blends a little photo-like
noise into it and then climbs to the class, along your lines.

### Try this
1. Press **Run**.
2. Change the **seed** for another version of the same drawing.
3. The other drawing: choose **robust_golf-ball-sketch.png** in *Load Image*, and write **golf ball** into
   **target_class**.
4. Your own: draw it in any program, large and simple, with a few plain colours, and load it. The *canvas*
   classifier knows buildings, cassette player, chain saw, church, english springer, forest, french horn,
   garbage truck, gas pump, glacier, golf ball, mountain, parachute, sea, street and tench (a fish).

### What to expect
A rough, colourful picture that follows your lines. It works best where the drawing has the layout of a
typical photo of the class: the thing in the middle, sky above, ground below.
""",
    "canvas",
    "church-sketch",
    "church",
    "sketch",
    masked=False,
)

EXAMPLES = (_GENERATE, _LARGE, _TRANSLATE, _STYLE, _SKETCH)
