"""The example of training."""

from __future__ import annotations

from .graph import CHOOSE, LOOK, WORK, Example, Group, Node, read_me

_TRAIN_YOUR_OWN = Example(
    "train-your-own",
    [
        read_me(
            """
## A brush of your own

**Train Robust Classifier** learns what your pictures show, and every other node of this pack then paints it.
The example folder *robust_patterns* (in ComfyUI's input folder) holds 110 small drawings each of flowers, stained
glass and waves. Training takes a few minutes even without a graphics card; while it learns, the node shows what
it would paint.

### Try this
1. Press **Run**, and watch. Press **Cancel** whenever you like it well enough: the best so far is kept, and
   **Run** goes on from there.
2. Type another class into the two nodes: *stained glass*, *waves*, or a mix: **flowers:0.6, waves:0.4**.
3. Make a folder of your own inside ComfyUI's input folder, with a folder of pictures for each class (two or
   more; a hundred pictures each are a good start), and write its name into **folder**. Give it a new **name**.
4. Set **epochs** to 0: as long as the recipe thinks best.

The classifier is saved: *Load Robust Classifier* lists it from now on (press R).

### What to expect
It learns colours, shapes and textures that set the classes apart from each other, and no more than it needs for
that. Classes that are easily told apart, as these, want a large **epsilon** (an advanced input; here 8): what
is attacked harder has to be learned more boldly. Classes that look alike want more pictures, or a smaller one.
"""
        ),
        Node(
            "train",
            "RobustTrainClassifier",
            (450, 40),
            (340, 740),
            values={"folder": "robust_patterns", "recipe": "quick", "epochs": 30, "name": "patterns", "epsilon": 8.0},
        ),
        Node(
            "seed",
            "RobustClassSeed",
            (850, 40),
            (300, 270),
            values={
                "target_class": "flowers",
                "width": 96,
                "height": 96,
                "batch_size": 4,
                "seed": 0,
                "control_after_generate": "fixed",
                "method": "class gaussian",
            },
            inputs={"classifier": ("train", 0)},
        ),
        Node(
            "translate",
            "RobustTranslate",
            (850, 380),
            (300, 400),
            values={"target_class": "flowers", "preset": "generate", "seed": 0, "control_after_generate": "fixed"},
            inputs={"classifier": ("train", 0), "image": ("seed", 0)},
        ),
        Node(
            "save",
            "SaveImage",
            (1210, 40),
            (300, 740),
            values={"filename_prefix": "robust/train-your-own"},
            inputs={"images": ("translate", 0)},
        ),
        Node(
            "enlarge",
            "ImageScaleBy",
            (1540, 40),
            (540, 90),
            values={"upscale_method": "lanczos", "scale_by": 4},
            inputs={"image": ("translate", 0)},
        ),
        Node("look", "PreviewImage", (1540, 210), (540, 570), "Enlarged", inputs={"images": ("enlarge", 0)}),
    ],
    [
        Group("1  Train", (430, -40), (380, 860), CHOOSE),
        Group("2  Paint", (830, -40), (340, 860), WORK),
        Group("3  Look", (1190, -40), (910, 860), LOOK),
    ],
)

EXAMPLES = (_TRAIN_YOUR_OWN,)
