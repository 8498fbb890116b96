"""What can stand in a picture: an emoji glyph, its names in English and Chinese, whether it may be recoloured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Subject:
    glyph: str  # the emoji itself, also a name
    english: tuple[str, ...]  # most usual first
    chinese: tuple[str, ...]
    plural: str  # of english[0]
    recolour: bool  # whether "a blue <name>" is drawn


# glyph | English names | Chinese names | plural when not simply +s | "=" when it keeps its colours
TABLE = """
🐱|cat,kitten,kitty|猫,小猫,猫咪
🐶|dog,puppy,doggy|狗,小狗,狗狗
👧|girl,1girl,young girl,little girl|女孩,小女孩,少女||=
👦|boy,1boy,young boy,little boy|男孩,小男孩,少年||=
👨|man,1man,gentleman|男人,男士,男子|men|=
👩|woman,1woman,lady|女人,女士,女子|women|=
🍏|green apple|青苹果,绿苹果,绿色的苹果||=
🍎|apple,red apple|苹果,红苹果
🚤|speedboat,motorboat|快艇,摩托艇
🚢|ship,cruise ship|轮船,大船
✈️|aeroplane,airplane,plane|飞机,客机
🏠|house,home,cottage|房子,房屋,小屋
🏰|castle,fortress|城堡,古堡
🌳|tree,green tree|树,大树
🌼|flower,blossom|花,花朵,鲜花
🌞|sun,smiling sun|太阳||=
🌙|moon,crescent moon|月亮,弯月,新月||=
⭐|star,gold star|星星,五角星
🏔️|mountain,snowy mountain|山,雪山,高山
🐼|panda,panda bear|熊猫,大熊猫
🐴|horse,pony|马,骏马
🐰|rabbit,bunny,hare|兔子,小兔,白兔
🐟|fish,blue fish|鱼,小鱼|fish
🐦|bird,little bird|鸟,小鸟
🚗|car,automobile,sedan|汽车,轿车,小汽车
🚲|bicycle,bike|自行车,单车
🚀|rocket,spaceship|火箭,飞船
🤖|robot,android|机器人
🎂|cake,birthday cake|蛋糕,生日蛋糕
📕|book,closed book|书,书本
🗡️|sword,dagger|剑,宝剑,匕首
👑|crown,king's crown|王冠,皇冠
👗|dress,gown|裙子,连衣裙
⚽|ball,soccer ball,football|球,足球
🍌|banana,yellow banana|香蕉
🦊|fox,red fox|狐狸|foxes
🐻|bear,brown bear|熊,棕熊
🐨|koala,koala bear|考拉,树袋熊
🐯|tiger,tiger face|老虎,虎
🦁|lion,lion face|狮子,雄狮
🐮|cow,cattle|奶牛,牛
🐷|pig,piglet|猪,小猪
🐸|frog,toad|青蛙
🐵|monkey,ape|猴子,小猴
🐔|chicken,hen|鸡,母鸡
🐧|penguin,emperor penguin|企鹅
🦆|duck,mallard|鸭子,野鸭
🦉|owl,night owl|猫头鹰
🦄|unicorn,magic horse|独角兽
🦋|butterfly,monarch|蝴蝶|butterflies
🐝|bee,honeybee|蜜蜂
🐢|turtle,tortoise|乌龟,海龟
🐙|octopus,squid|章鱼|octopuses
🐳|whale,spouting whale|鲸鱼,鲸
🐘|elephant,baby elephant|大象,象
🐭|mouse,rat|老鼠,小鼠|mice
🍊|orange fruit,tangerine,mandarin|橘子,橙子,柑橘
🍋|lemon,yellow lemon|柠檬
🍉|watermelon,slice of watermelon|西瓜
🍇|bunch of grapes,grapes|葡萄|bunches of grapes
🍓|strawberry,ripe strawberry|草莓|strawberries
🍒|cherry,cherries|樱桃|cherries
🍐|pear,green pear|梨,梨子
🍍|pineapple,ananas|菠萝,凤梨
🍅|tomato,ripe tomato|番茄,西红柿|tomatoes
🥕|carrot,orange carrot|胡萝卜
🍄|mushroom,toadstool|蘑菇
🍔|hamburger,burger|汉堡,汉堡包
🍕|pizza,slice of pizza|披萨,比萨
🍩|doughnut,donut|甜甜圈
☕|cup of coffee,coffee|咖啡,一杯咖啡|cups of coffee
❤️|heart,red heart|心,爱心,红心
🎈|balloon,red balloon|气球
🎁|gift,present,gift box|礼物,礼盒
🎸|guitar,electric guitar|吉他
📷|camera,photo camera|相机,照相机
⏰|alarm clock,clock|闹钟,钟
🔑|key,golden key|钥匙
☂️|umbrella,parasol|雨伞,伞
🎩|top hat,hat|礼帽,帽子
🔔|bell,golden bell|铃铛,钟铃
💡|light bulb,lightbulb|灯泡
🚌|bus,coach|公共汽车,巴士|buses
🚂|train,steam train,locomotive|火车,蒸汽火车
⛄|snowman,snow man|雪人|snowmen|=
👻|ghost,spooky ghost|鬼,幽灵
"""
FIRST = 35  # the first so many rows are what people try first: drawn twice as often


@cache
def subjects(count: int) -> tuple[Subject, ...]:
    """The first ``count`` subjects: the table's, then single-character emoji named by the ``emoji`` package."""
    table = tuple(_parse(row) for row in TABLE.strip().splitlines())
    if count <= len(table):
        return table[:count]
    return table + tuple(_named_by_package({subject.glyph for subject in table}))[: count - len(table)]


def _parse(row: str) -> Subject:
    glyph, english, chinese, plural, keep = (row + "||||").split("|")[:5]
    names = tuple(english.split(","))
    return Subject(glyph, names, tuple(chinese.split(",")), plural or names[0] + "s", keep != "=")


def _named_by_package(taken: set[str]) -> list[Subject]:
    """Fully qualified emoji of one picture each, without flags, keycaps, clock faces, arrows, signs and gestures."""
    import emoji  # a package that only the second edition needs

    emoji.config.load_language("zh")
    dull = ("flag", "keycap", "clock", "_button", "arrow", "sign", "hand", "o’", "zodiac", "symbol", "square", "circle")
    found = []
    for glyph, entry in emoji.EMOJI_DATA.items():
        name = entry["en"].strip(":")
        single = len(glyph.removesuffix("\ufe0f")) == 1 and ord(glyph[0]) > 0x1F2FF
        if single and entry["status"] == 2 and glyph not in taken and not any(word in name for word in dull):
            english = name.replace("_", " ").lower()
            chinese = (entry["zh"].strip(":").replace("_", ""),) if "zh" in entry else (glyph,)
            found.append(Subject(glyph, (english,), chinese, english + "s", True))
    return found
