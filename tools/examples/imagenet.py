"""The examples that need a classifier from the Hugging Face Hub."""

from __future__ import annotations

from .graph import CHOOSE, LOOK, WORK, Example, Group, Node, read_me

CLASSIFIER = "resnet50_l2_eps3"
NEEDS = f"{CLASSIFIER}, 205 MB from the Hugging Face Hub"
_LOADER = Node(
    "load", "RobustLoadClassifier", (450, 40), (300, 80), values={"classifier": CLASSIFIER}, model=CLASSIFIER
)

_IMAGENET = Example(
    "imagenet",
    [
        read_me(
            """
## Any of a thousand things

*resnet50_l2_eps3* is a public classifier that knows the 1000 classes of ImageNet and sees 224 x 224 pixels.
**Run** downloads it once: 205 MB from the Hugging Face Hub, checked, and kept as a file of 51 MB. After that
it works offline.

### Try this
1. Press **Run**. The first time, *Load Robust Classifier* shows how far the download is; Cancel keeps what
   has come, and the next Run goes on from there.
2. Click into **target_class** and type: the list searches all 1000 names and their synonyms. Mixes work as
   everywhere: `zebra:0.7, tiger:0.3`.
3. This classifier has no class seeds, so *Class-Conditional Seed* starts from **natural noise**: colours,
   contrast and fineness of a photo, no motif. Any photo does as well: wire a *Load Image* into *Translate
   to Class* instead.
4. Better seeds: put ten pictures of the class into a folder of ComfyUI's input folder, and *Fit Class Seeds*
   draws from them.

### No internet?
Download the file elsewhere and put it into *ComfyUI/models/robust_classifiers*. Any other robust checkpoint
(.ckpt, .pt, .safetensors) goes there, too.

### What to expect
Objects and textures of the class, more than one of them, without a photo's layout. The card in the template
browser shows only the start, because this picture is made on your machine.
"""
        ),
        _LOADER,
        Node(
            "seed",
            "RobustClassSeed",
            (810, 40),
            (300, 270),
            values={
                "target_class": "macaw",
                "width": 224,
                "height": 224,
                "batch_size": 4,
                "seed": 1,
                "control_after_generate": "fixed",
                "method": "natural noise",
            },
            inputs={"classifier": ("load", 0)},
        ),
        Node(
            "translate",
            "RobustTranslate",
            (810, 400),
            (300, 380),
            values={"target_class": "macaw", "preset": "generate", "seed": 0, "control_after_generate": "fixed"},
            inputs={"classifier": ("load", 0), "image": ("seed", 0)},
        ),
        Node("start", "PreviewImage", (1170, 40), (300, 300), "Where it starts", inputs={"images": ("seed", 0)}),
        Node(
            "save",
            "SaveImage",
            (1500, 40),
            (520, 740),
            values={"filename_prefix": "robust/imagenet"},
            inputs={"images": ("translate", 0)},
        ),
    ],
    [
        Group("1  Choose a classifier", (430, -40), (340, 860), CHOOSE),
        Group("2  Start from noise, then climb", (790, -40), (340, 860), WORK),
        Group("3  Look", (1150, -40), (890, 860), LOOK),
    ],
    needs=NEEDS,
)

_HORSE_TO_ZEBRA = Example(
    "horse-to-zebra",
    [
        read_me(
            """
## A horse becomes a zebra

*resnet50_l2_eps3* knows zebras (and 999 other things). **Translate to Class** changes a picture of a horse
inside a painted mask, a little at every step, until the classifier sees a zebra: the composition stays, and
stripes appear.

### Try this
1. Press **Run**. The first time the classifier is downloaded: 205 MB from the Hugging Face Hub.
2. Load a photo of your own, of any size. (The example horse is a collage; a real photo does better.)
3. Paint where it may change: right-click *Load Image*, **Open in Mask Editor**. With nothing painted, all of
   it may change, the meadow too.
4. Click into **target_class** and type: a lion, a *lesser panda*, an *Arabian camel*.
5. Too much or too little? Set **preset** to *custom* and change **epsilon**, how far the picture may go.

### What to expect
Texture and colour change, the outline hardly. The card in the template browser shows only the start, because
this picture is made on your machine.
"""
        ),
        _LOADER,
        Node("picture", "LoadImage", (450, 190), (300, 590), values={"image": "robust_horse.png"}),
        Node(
            "translate",
            "RobustTranslate",
            (810, 40),
            (300, 740),
            values={"target_class": "zebra", "preset": "translate", "seed": 0, "control_after_generate": "fixed"},
            inputs={"classifier": ("load", 0), "image": ("picture", 0), "mask": ("picture", 1)},
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
            values={"filename_prefix": "robust/horse-to-zebra"},
            inputs={"images": ("translate", 0)},
        ),
        Node("look", "PreviewImage", (1500, 40), (520, 740), "Before and after", inputs={"images": ("beside", 0)}),
    ],
    [
        Group("1  Choose", (430, -40), (340, 860), CHOOSE),
        Group("2  Climb", (790, -40), (340, 860), WORK),
        Group("3  Look", (1150, -40), (890, 860), LOOK),
    ],
    before="horse.png",
    needs=NEEDS,
)

EXAMPLES = (_IMAGENET, _HORSE_TO_ZEBRA)
