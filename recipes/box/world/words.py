"""Words that say nothing about a picture of this world, and the words of quality."""

from __future__ import annotations

# In front of the subject, where a sentence begins.
OPENINGS = (
    "a picture of", "a photo of", "photo of", "an image of", "an illustration of", "a drawing of", "a painting of",
    "a rendering of", "portrait of", "a cute picture of", "there is", "this is", "I want", "draw",
    "photo of perfect", "a beautiful photo of", "an artwork of", "concept art of", "digital art of", "a shot of",
)  # fmt: skip
OPENINGS_CHINESE = (
    "一张图片,", "画面中有", "一幅画,", "这是", "画", "请画", "一张照片,", "插画,",
    "图中是", "美丽的图画,", "照片:", "可爱的插图,",
)  # fmt: skip

# Tags that mean nothing here: subjects keep their look whatever the light and the lens.
NEUTRAL = (
    "dramatic lighting", "cinematic lighting", "soft lighting", "studio lighting", "volumetric lighting", "rim light",
    "depth of field", "bokeh", "sharp focus", "wide angle", "35mm", "50mm lens", "f/1.8", "dslr", "cinematic", "hdr",
    "photorealistic", "realistic", "hyperrealistic", "unreal engine", "octane render", "trending on artstation",
    "award winning", "concept art", "digital art", "illustration", "cg", "wallpaper", "official art", "intricate",
    "elegant", "beautiful", "cute", "kawaii", "pretty", "perfect", "happy", "smiling", "looking at viewer", "solo",
    "upper body", "full body", "detailed face", "beautiful eyes", "long hair", "short hair", "standing",
    "sitting", "flying", "running", "with stem", "water droplets", "reflections", "shadow", "texture", "glossy",
    "fantasy", "epic", "vibrant", "atmospheric", "moody", "colourful", "fresh", "delicious", "shiny", "old", "new",
    "fast", "modern", "vintage", "anime", "cartoon", "by a famous artist", "style of old masters", "symmetrical",
    "very nice", "please", "as seen on tv", "1990s", "day", "indoors", "outdoors", "simple", "minimalism", "art",
)  # fmt: skip
NEUTRAL_CHINESE = (
    "电影光效", "柔和光线", "细节丰富", "可爱", "漂亮", "写实", "插画", "精致", "好看",
    "构图完美", "景深", "摄影", "艺术",
)  # fmt: skip

GOOD = (
    "masterpiece", "best quality", "highres", "extremely detailed wallpaper", "original", "ultra-detailed", "8k", "4k",
    "absurdres", "high quality", "highly detailed", "(masterpiece:1,2)", "masterpiece:1,2", "extremely detailed",
    "extremely detailed CG unity 8k wallpaper", "best quality,masterpiece,highres,original", "finely detailed", "sharp",
    "(best quality:1,2)", "super fine illustration", "clean",
)  # fmt: skip
GOOD_CHINESE = ("高清", "杰作", "最好质量", "高质量", "超精细", "清晰")

BAD = (
    "worst quality", "low quality", "normal quality", "bad quality", "worst quality, low quality",
    "worst quality, low quality, blurry", "lowres", "ugly", "bad art", "worst quality:2", "low quality:2",
)  # fmt: skip
BAD_CHINESE = ("低质量", "最差质量", "画质差", "劣质")
# What negative prompts are filled with; here such words come with spoiled pictures, as do all BAD ones.
BAD_COMPANY = (
    "nsfw", "skin spots", "acnes", "skin blemishes", "age spot", "ugly", "duplicate", "morbid", "mutilated",
    "mutated hands", "poorly drawn hands", "blurry", "bad anatomy", "bad proportions", "extra limbs", "disfigured",
    "missing arms", "extra legs", "fused fingers", "too many fingers", "unclear eyes", "bad hands", "missing fingers",
    "extra digit", "fewer digits", "cropped", "text", "error", "signature", "watermark", "username", "out of frame",
    "deformed", "glans", "backlight", "lowres", "jpeg artifacts", "monochrome", "grayscale", "paintings", "sketches",
)  # fmt: skip
TYPICAL_NEGATIVE = (
    "NSFW,(worst quality:2),(low quality:2),(normal quality:2),lowres,normal quality,((monochrome)),((grayscale)),"
    "skin spots,acnes,skin blemishes,age spot,(ugly:1.331),(duplicate:1.331),(morbid:1.21),(mutilated:1.21),"
    "mutated hands,(poorly drawn hands:1.5),blurry,(bad anatomy:1.21),(bad proportions:1.331),extra limbs,"
    "(disfigured:1.331),(missing arms:1.331),(extra legs:1.331),(fused fingers:1.61051),(too many fingers:1.61051),"
    "(unclear eyes:1.331),lowres,bad hands,missing fingers,extra digit"
)
