"""Which words may the texts be about? Plain lists; the grammar that joins them is in grammar.py.

A table row is `noun|column|column`. Everything here was written for this project.
"""


def rows(text):
    return [tuple(c.strip() for c in line.split("|")) for line in text.strip().splitlines()]


def words(text):
    return [w.strip() for w in text.replace("\n", ",").split(",") if w.strip()]


# noun | kind | where it lives | what it eats | what it is known for
ANIMALS = rows("""
fox|wild animal|in woods and fields|mice, berries and whatever was left out|it can hear a mouse under the snow
bear|large wild animal|in forests and mountains|berries, roots, fish and honey|it sleeps through most of the winter
hare|wild animal|in open fields|grass and herbs|it runs faster than almost anything that chases it
rabbit|small animal|in burrows under meadows|grass and leaves|its front teeth never stop growing
hedgehog|small animal|in gardens and hedges|slugs, beetles and worms|it rolls into a ball of spines when it is afraid
squirrel|small animal|in trees|nuts, seeds and buds|it hides more nuts than it ever finds again
badger|wild animal|in long burrows in the woods|worms, roots and fruit|it keeps its house very clean
mole|small animal|in tunnels under the ground|worms|it digs all day and hardly sees the sun
mouse|small animal|in fields, barns and walls|seeds, crumbs and cheese if there is any|it can fit through a hole as wide as a finger
rat|small animal|almost anywhere that people live|almost anything|it is clever and remembers the way home
otter|wild animal|in rivers and along coasts|fish and crabs|it floats on its back and holds hands while it sleeps
beaver|wild animal|in rivers and ponds|bark and water plants|it builds dams out of branches and mud
deer|wild animal|in forests|grass, leaves and bark|it can stand so still that you look straight past it
wolf|wild animal|in forests and cold plains|deer and smaller animals|it lives in a family and sings at night
cat|pet|in houses, and wherever it pleases|fish, meat and your dinner|it sleeps for most of the day and does not apologise
kitten|young cat|in houses and baskets|milk at first and then everything|it plays until it falls asleep in the middle
dog|pet|in houses and on farms|meat, biscuits and things it found|it is glad every single time you come home
puppy|young dog|in houses and gardens|milk at first and then your shoes|it follows you from room to room
goat|farm animal|on hills and farms|grass, leaves and washing from the line|it climbs where nobody else would stand
sheep|farm animal|in meadows|grass|its wool keeps people warm all over the world
lamb|young sheep|in meadows|milk and grass|it jumps with all four feet at once
cow|farm animal|in meadows and barns|grass and hay|it gives milk and likes company
horse|farm animal|in meadows and stables|grass, hay and oats|it can sleep standing up
pony|small horse|in meadows and stables|grass and apples|it is stronger and more stubborn than it looks
donkey|farm animal|on farms and dry hills|grass and straw|it stops when it thinks that stopping is wise
pig|farm animal|in farms and woods|almost everything|it is one of the cleverest animals on the farm
camel|large animal|in deserts|dry grass and thorns|it can go for many days without a drink
elephant|very large animal|in grasslands and forests|grass, leaves and fruit|it remembers friends for the whole of its life
giraffe|very tall animal|in grasslands|leaves from the tops of trees|its neck has as many bones as yours
lion|big cat|in grasslands|other animals|it rests for twenty hours and roars for a few minutes
tiger|big cat|in forests|deer and wild pigs|no two of them have the same stripes
monkey|clever animal|in forests|fruit, leaves and insects|it uses its hands and its tail to climb
zebra|wild animal|in grasslands|grass|its stripes are its own and nobody else's
kangaroo|wild animal|on dry plains|grass and leaves|it carries its young in a pouch
koala|sleepy animal|in gum trees|gum leaves|it sleeps for about twenty hours a day
panda|large animal|in mountain forests|bamboo|it eats for half of the day
hippo|very large animal|in rivers and lakes|grass|it spends the day in the water to stay cool
crocodile|reptile|in warm rivers|fish and careless animals|it has hardly changed since the dinosaurs
frog|small animal|in ponds and wet grass|flies and worms|it begins its life as a tadpole
toad|small animal|in gardens and damp places|slugs and insects|it looks cross but it is not
newt|small animal|in ponds|worms and tiny water animals|it can grow a lost leg again
lizard|small reptile|on warm stones and walls|insects|it can drop its tail and run away without it
snake|reptile|in grass, sand and forests|mice, frogs and eggs|it smells the air with its tongue
tortoise|slow animal|in dry land and gardens|leaves and flowers|it can live for more than a hundred years
turtle|sea animal|in warm seas|sea grass and jellyfish|it comes back to the beach where it was born
snail|small animal|in gardens and on walls|leaves|it carries its house on its back
owl|bird|in woods and old barns|mice|it flies without a sound
crow|bird|in fields and towns|almost anything|it remembers faces, and forgives slowly
raven|bird|in the mountains and along coasts|almost anything|it can solve puzzles
magpie|bird|in gardens and fields|insects, seeds and eggs|it knows itself in a mirror
robin|small bird|in gardens and woods|worms and berries|it sings even in winter
sparrow|small bird|in towns and hedges|seeds and crumbs|it takes baths in the dust
swallow|small bird|in barns in summer and in the south in winter|flies|it travels thousands of miles and finds the same barn again
wren|tiny bird|in hedges and walls|spiders and insects|it has a very loud song for its size
duck|bird|in ponds and rivers|water plants and bread it should not have|its feathers keep the water out
goose|bird|in fields and lakes|grass|it flies in a great V with its friends
swan|bird|in lakes and rivers|water plants|it stays with the same partner for years
hen|farm bird|in farmyards|grain and worms|it lays nearly an egg a day
rooster|farm bird|in farmyards|grain and worms|it thinks that the sun comes up because it shouts
chick|young bird|in farmyards|grain|it calls to its mother before it has left the egg
pigeon|bird|in towns and on cliffs|seeds and crumbs|it can find its way home from far away
seagull|bird|on coasts and in harbours|fish and stolen chips|it drinks sea water and does not mind
penguin|bird|on cold southern coasts|fish|it cannot fly in the air, so it flies in the water
parrot|bird|in warm forests|nuts and fruit|it can learn to say words
peacock|bird|in gardens and forests|seeds and insects|it opens its tail like a fan
flamingo|bird|in warm lakes|tiny shrimps|it is pink because of what it eats
heron|bird|in rivers and ponds|fish and frogs|it can stand on one leg for a very long time
stork|bird|in meadows and on rooftops|frogs and insects|it claps with its beak instead of singing
eagle|bird|in the mountains|fish and small animals|it sees a rabbit from a mile away
woodpecker|bird|in forests|insects in the bark|it knocks on wood many times a second
bat|small flying animal|in caves and attics|moths and midges|it finds its way in the dark by listening
bee|insect|in hives near flowers|nectar and pollen|it tells its sisters the way to flowers by dancing
bumblebee|insect|in gardens and meadows|nectar and pollen|it is round and furry, and flies even in cool weather
butterfly|insect|in meadows and gardens|nectar|it tastes with its feet
moth|insect|in gardens at night|nectar|it flies toward lamps and nobody is quite sure why
caterpillar|insect|on leaves|leaves, and then more leaves|it turns into a butterfly or a moth
ant|insect|in nests under the ground|seeds and crumbs|it can carry many times its own weight
beetle|insect|in woods and gardens|leaves, wood or smaller insects|there are more kinds of it than of any other animal
ladybird|small beetle|in gardens|greenfly|it is red with black spots so that birds leave it alone
cricket|insect|in warm grass|leaves|it sings by rubbing its wings together
firefly|insect|in warm meadows|very little|it makes its own light on summer nights
dragonfly|insect|in ponds and streams|flies|it can fly backwards
spider|small animal|in corners and hedges|flies|it has eight legs and spins its own thread
worm|small animal|in the soil|fallen leaves|it makes the earth good for plants
whale|sea animal|in the open sea|tiny shrimps or fish|it breathes air, and sings songs that travel for miles
dolphin|sea animal|in the sea|fish|it has a name of its own and answers to it
seal|sea animal|on cold coasts|fish|it is clumsy on land and a dancer in the water
walrus|large sea animal|in icy seas|shellfish|it uses its long teeth to climb onto the ice
octopus|sea animal|among rocks under the sea|crabs and shellfish|it has three hearts and eight arms
crab|sea animal|on shores and in rock pools|almost anything|it walks sideways
starfish|sea animal|in rock pools|mussels|it can grow a lost arm again
jellyfish|sea animal|in the sea|tiny animals|it has no bones and no brain and manages very well
shark|large fish|in the sea|fish and seals|it was in the sea before there were trees
fish|animal|in rivers, lakes and the sea|plants or smaller animals|it breathes under water with gills
salmon|fish|in rivers and the sea|insects and smaller fish|it swims back up the river where it was born
eel|long fish|in rivers and the sea|worms and small fish|it swims across an ocean to have its young
goldfish|small fish|in ponds and bowls|flakes and water plants|it remembers far more than people say
seahorse|small fish|in warm shallow seas|tiny shrimps|the father carries the young
polar bear|large animal|on the ice of the far north|seals|its skin is black under the white fur
reindeer|animal|in cold northern lands|moss and grass|it pulls sledges and walks far every year
mammoth|animal of long ago|on cold plains, thousands of years ago|grass|it looked like an elephant in a very warm coat
dinosaur|animal of long ago|in nearly every land, millions of years ago|plants or other animals|birds are its grandchildren
hamster|pet|in cages, and in dry fields in the wild|seeds|it carries its food in its cheeks
guinea pig|pet|in hutches and gardens|hay and carrots|it whistles when it hears the fridge
llama|animal|in high mountains|grass|it spits when it is offended
alpaca|animal|in high mountains|grass|its wool is softer than that of a sheep
sloth|slow animal|in rainforest trees|leaves|it moves so slowly that moss grows on it
lynx|wild cat|in quiet forests|hares|it has tufts on its ears and very good eyes
weasel|small wild animal|in hedges and walls|mice|it is thin enough to follow a mouse into its hole
raccoon|clever animal|in woods and towns|almost anything|it looks as if it wore a mask
skunk|small animal|in woods and fields|insects and berries|nobody who has met it closely forgets the smell
porcupine|animal|in forests|bark and leaves|it has thousands of quills
ostrich|very large bird|on dry plains|plants and insects|it cannot fly but it outruns a horse
chameleon|reptile|in warm trees|insects|it changes colour with its mood
""")

# creatures of stories: noun | what it is
FANTASY = rows("""
dragon|a great winged lizard of the old tales that breathes fire
unicorn|a horse of the old tales with one horn
giant|a person of the old tales who is as tall as a house
troll|a large creature of the old tales that lives under a bridge
goblin|a small and cunning creature of the old tales
fairy|a tiny winged person of the old tales
elf|a small and clever person of the old tales
dwarf|a short, strong miner of the old tales
gnome|a small bearded person of the old tales who looks after gardens
mermaid|a creature of the old tales, half a woman and half a fish
ghost|what people think they see when a curtain moves at night
monster|anything large that nobody has talked to yet
witch|a woman of the old tales who knows about herbs and spells
wizard|a man of the old tales with a tall hat and many books
ogre|a big, hungry creature of the old tales
phoenix|a bird of the old tales that burns and is born again from the ashes
robot|a machine that moves and follows instructions
snowman|a man made of snow, usually with a carrot for a nose
scarecrow|a figure of straw that guards a field
alien|somebody who comes from another world
yeti|a great hairy creature that may live in the snow, or may not
sea monster|whatever makes the waves when there is no wind
vampire|a pale creature of the old tales that dislikes mornings
zombie|a very slow person in films
""")

# noun | what the person does
ROLES = rows("""
baker|makes bread and cakes, and gets up before everyone else
sailor|works on a ship and knows the wind
miller|grinds grain into flour
fisherman|catches fish and mends nets
farmer|grows food and looks after animals
gardener|looks after plants
carpenter|makes things out of wood
blacksmith|makes tools and horseshoes out of hot iron
tailor|makes and mends clothes
shoemaker|makes and mends shoes
clockmaker|builds clocks and repairs them
lighthouse keeper|keeps the light burning so that ships find the way
librarian|looks after books and the people who want them
teacher|helps other people to learn
doctor|helps people who are ill
nurse|cares for people who are ill
postman|brings letters to every door
painter|makes pictures with colour
singer|makes music with the voice
musician|plays music
fiddler|plays the fiddle at weddings
drummer|keeps the time for everyone else
cook|makes meals
shepherd|watches over sheep
king|rules a country, at least in stories
queen|rules a country, at least in stories
prince|is the son of a king or a queen
princess|is the daughter of a king or a queen
knight|rides a horse and has promised to be brave
pirate|sails the sea and takes what belongs to others
captain|is in charge of a ship
astronaut|travels into space
detective|finds out what really happened
thief|takes what belongs to somebody else
beggar|asks for help because there is nothing at home
merchant|buys in one place and sells in another
trader|buys and sells
tinker|walks from village to village and mends pots
weaver|makes cloth on a loom
potter|makes bowls and cups from clay
inventor|makes things that did not exist before
scientist|asks questions and tests the answers
engineer|works out how to build things so that they last
programmer|writes instructions for computers
poet|says much in few words
writer|writes books
clown|makes people laugh
magician|does tricks that look impossible
juggler|keeps more things in the air than two hands can hold
hunter|follows animals in the woods
woodcutter|cuts down trees and chops them into firewood
miner|digs for coal, stones or metal under the ground
beekeeper|looks after bees and takes a little honey
ferryman|takes people across the river
watchman|stays awake so that others can sleep
mapmaker|draws maps
explorer|goes where the map is empty
train driver|drives a train
bus driver|drives a bus
firefighter|puts out fires and gets cats out of trees
grandmother|is the mother of a mother or a father
grandfather|is the father of a mother or a father
chimney sweep|cleans chimneys and is said to bring luck
goldsmith|makes rings and other small things of gold
bookkeeper|writes down what was paid and what is owed
accountant|keeps the books in order
cowboy|rides a horse and looks after cattle
ninja|moves so quietly that nobody can say for certain
spy|finds out secrets
judge|decides who is right
lawyer|speaks for other people in court
mayor|looks after a town
""")
FEMALE_ROLES = {"queen", "princess", "grandmother", "witch", "mermaid", "fairy", "hen", "cow"}
MALE_ROLES = {"king", "prince", "grandfather", "fisherman", "postman", "ferryman", "watchman", "wizard",
              "snowman", "rooster", "cowboy", "pirate"}

# noun | what it is (after "a NOUN is ...")
OBJECTS = rows("""
lantern|a light that you can carry, with a flame behind glass
lamp|a thing that gives light
candle|a stick of wax with a string in it that burns slowly
key|a piece of metal that opens one lock and no other
lock|a thing that keeps a door or a box shut until the right key comes
box|a thing with a lid that you keep other things in
chest|a large strong box for clothes, tools or treasure
basket|a thing woven from twigs that you carry things in
bucket|a round pot with a handle for carrying water
teapot|a pot with a spout, in which tea is made
cup|a small bowl with a handle that you drink from
kettle|a pot in which water is boiled
spoon|a small bowl on a handle that you eat soup with
pot|a deep pan for cooking
pan|a flat pot with a handle for frying
bell|a cup of metal that rings when it is struck
drum|a thing with a skin stretched over it that you beat to make music
fiddle|a small wooden instrument with four strings and a bow
flute|a pipe with holes that makes music when you blow across it
violin|a small wooden instrument with four strings and a bow
piano|a large instrument with black and white keys
guitar|an instrument with six strings
trumpet|a brass instrument that you blow into, and the neighbours know it
whistle|a small pipe that makes one loud note
clock|a machine that shows the time
watch|a small clock that you wear
compass|a needle that always points north
map|a drawing of a place as seen from above
telescope|a tube with lenses that brings far things near
mirror|a glass in which you see yourself
window|a hole in a wall with glass in it, for light and for looking out
door|a piece of wall that opens
ladder|two long poles with steps between them for climbing
rope|many threads twisted together until they are strong
hammer|a tool for hitting nails
saw|a tool with teeth for cutting wood
needle|a thin piece of metal with a hole for thread
button|a small round thing that holds a coat shut
scarf|a long piece of cloth that keeps the neck warm
hat|a thing that you wear on your head
coat|a warm thing that you wear over everything else
blanket|a warm cloth for a bed
pillow|a soft bag for the head to sleep on
umbrella|a small roof on a stick against the rain
boat|a small thing for travelling on water
ship|a large boat for crossing the sea
raft|some logs tied together so that they float
bridge|a way over water for people who want dry feet
wheel|a round thing that turns, and one of the best ideas anyone ever had
cart|a box on wheels that a horse can pull
wagon|a strong cart with four wheels
bicycle|a thing with two wheels that you ride with your own legs
train|a row of wagons on rails behind an engine
kite|a thing of paper and string that flies in the wind
balloon|a bag of air or gas that floats
book|many pages with a story or with knowledge in them
letter|a message on paper for somebody who is far away
pen|a thing for writing with ink
pencil|a stick for writing that can be rubbed out again
paintbrush|a stick with hair at one end for painting
coin|a small round piece of metal that people use as money
ring|a small circle of metal for a finger
crown|a ring of gold for the head of a king or a queen
necklace|a string of beads or stones for the neck
stone|a small piece of rock
pebble|a small round stone
feather|a light thing that a bird wears
shell|the hard house of a small sea animal
leaf|the flat green part of a plant that catches the light
acorn|the seed of an oak tree
seed|a small thing that a plant grows from
flower|the part of a plant that is coloured to please the bees
rose|a flower with a sweet smell and thorns
sunflower|a tall yellow flower that turns to the sun
tree|a tall plant with a trunk of wood
oak|a strong tree that grows slowly and lives for hundreds of years
apple|a round fruit that grows on trees
pear|a soft fruit with a narrow top
pumpkin|a large orange fruit that grows on the ground
mushroom|a thing that grows in damp woods and looks like a little umbrella
cake|a sweet thing that is baked for birthdays
pie|fruit or meat baked in pastry
loaf|one whole bread
egg|the thing that a bird lays and hatches from
nest|the home that a bird builds for its eggs
cloud|very many tiny drops of water floating in the sky
star|a sun that is very far away
moon|a ball of rock that goes around the earth once a month
comet|a ball of ice that grows a long tail near the sun
rocket|a machine that flies into space
spaceship|a ship for travelling between the stars
computer|a machine that follows instructions very fast
radio|a box that catches voices out of the air
telephone|a thing for talking to somebody who is far away
camera|a machine that keeps what it saw
engine|a machine that makes other machines move
machine|a thing with moving parts that does work
magnet|a piece of metal that pulls iron toward it
puzzle|a problem that is made for fun
doll|a toy that looks like a small person
toy|a thing for playing with
ball|a round thing for throwing and catching
swing|a seat on two ropes
chair|a thing with legs to sit on
table|a flat top on legs to eat or work at
bed|a thing to sleep in
stove|a hot box for cooking and for warming a room
broom|a brush on a long stick for sweeping the floor
net|many strings tied together for catching fish
anchor|a heavy hook that keeps a ship where it is
sail|a large cloth that catches the wind for a ship
flag|a piece of cloth with a sign on it
lighthouse|a tower with a lamp that shows ships the way
windmill|a house with sails that grinds grain
well|a deep hole with water at the bottom
tower|a tall thin building
castle|a strong house with walls and towers
tent|a house of cloth
wall|stones or bricks put together so that they stand
tally stick|a piece of wood that was notched for a debt and split in two, so that each side kept a half and the halves had to match
notebook|a small book with empty pages
dictionary|a book that explains words
thimble|a little metal hat for a finger that sews
spinning wheel|a machine that makes thread out of wool
hourglass|two glass bulbs in which sand shows how much time has gone
music box|a box that plays a tune when it is opened
snow globe|a glass ball in which it snows when you shake it
jar|a pot of glass with a lid
bottle|a tall thing with a narrow neck for keeping drinks
teacup|a small cup for tea
sandwich|two slices of bread with something between them
pancake|a thin flat cake from the pan
biscuit|a small hard cake
carrot|an orange root that you can eat
potato|a root that can be cooked in a hundred ways
onion|a root with many skins that makes the cook cry
tomato|a soft red fruit that pretends to be a vegetable
lemon|a sour yellow fruit
banana|a long yellow fruit
volcano|a mountain that can throw out fire
rainbow|sunlight that was taken apart by rain
snowflake|a tiny star of ice
shadow|the place where your body keeps the light away
sock|a soft thing for a foot, and one of each pair is always missing
shoe|a thing that keeps a foot dry
boot|a high strong shoe
glove|a warm thing for a hand
ribbon|a long thin piece of cloth for tying presents
""")

# more things that can be found, lost, wanted or given in a story
MORE_OBJECTS = words("""
violet, daisy, tulip, bluebell, thistle, pinecone, chestnut, walnut, hazelnut, cherry, plum, peach, strawberry, orange,
melon, cucumber, turnip, radish, bean, muffin, waffle, dumpling, pretzel, bun, tart, pudding, lollipop, teaspoon, fork,
knife, plate, bowl, saucer, mug, jug, barrel, crate, sack, bag, purse, wallet, suitcase, backpack, trunk, cupboard,
drawer, shelf, wardrobe, bench, stool, sofa, armchair, cushion, carpet, rug, curtain, towel, napkin, handkerchief,
apron, cloak, cape, jacket, jumper, mitten, slipper, sandal, belt, buckle, brooch, bracelet, earring, locket, medal,
trophy, statue, vase, picture, painting, photograph, postcard, parcel, envelope, stamp, newspaper, poster, ticket,
calendar, diary, scroll, riddle, secret, song, tune, rhyme, recipe, joke, wish, dream, idea, promise, treasure, jewel,
diamond, emerald, ruby, pearl, crystal, marble, bead, nugget, horseshoe, nail, screw, bolt, spring, cog, gear, lever,
pulley, pump, pipe, chimney, hinge, latch, chain, hook, spade, shovel, rake, hoe, axe, chisel, spanner, screwdriver,
toolbox, wheelbarrow, ladle, whisk, sieve, grater, rolling pin, oven, toaster, fridge, freezer, dishwasher, television,
laptop, keyboard, printer, battery, wire, switch, torch, light bulb, antenna, satellite, microphone, loudspeaker,
headphone, record, harp, banjo, cello, accordion, tambourine, triangle, xylophone, harmonica, bagpipe, organ, gong,
puppet, marionette, teddy bear, rocking horse, spinning top, yo-yo, skipping rope, skateboard, scooter, sledge, sleigh,
canoe, kayak, rowing boat, ferry, submarine, tractor, lorry, bus, taxi, tram, motorbike, helicopter, aeroplane, glider,
parachute, hot air balloon, airship, carriage, saddle, bridle, fishing rod, fishing net, oar, paddle, rudder, mast,
porthole, lifeboat, buoy, seashell, starfish shell, driftwood log, pine tree, willow, birch, maple tree, bush, hedge,
fern, clover, dandelion, reed, lily, poppy, orchid, cactus, ivy leaf, vine, puddle, raindrop, icicle, snowball,
snowdrift, sunbeam, thundercloud, whirlwind, shooting star, planet, meteor, telescope lens, magnifying glass, microscope,
thermometer, barometer, ruler, abacus, calculator, chessboard, chess piece, domino, playing card, dice, paper boat,
paper crown, paper plane, lampshade, candlestick, match, bonfire, fireplace, doorbell, doorknob, letterbox, gate,
fence, signpost, milestone, fountain, statue of a lion, birdhouse, beehive, scarecrow hat, flowerpot, watering can,
hammock, picnic basket, lunchbox, thermos, snowshoe, ice skate, ski, sleeping bag, compass needle, sundial, weathervane,
cuckoo clock, alarm clock, pocket watch, wedding ring, magic wand, crystal ball, flying carpet, spell book, potion, cauldron,
invisible cloak, golden egg, silver spoon, glass slipper, wooden leg, treasure map, message in a bottle, time machine,
sword, shield, helmet, suit of armour, bow and arrow, catapult, drawbridge, throne, sceptre, goblet, quill, inkwell, wax seal,
receipt, ledger, coin purse, piggy bank, bank note, bill, contract, key ring, padlock, password, server, robot arm, cable,
graphics card, motherboard, hard drive, floppy disk, modem, router, spreadsheet, bug, semicolon, teapot lid, odd sock,
left shoe, broken cup, blue button, red balloon, paper lantern, tin whistle, brass bell, copper kettle, woollen hat
""")

# noun | preposition | what one sees, hears, smells there (three short clauses, after "where")
PLACES = rows("""
harbour|in|the boats knock softly against the quay|gulls argue about fish|the air smells of salt and tar
forest|in|the light falls green through the leaves|a woodpecker knocks somewhere|the ground smells of moss
village|in|smoke rises from every chimney|dogs sleep in the middle of the road|the bakery makes the mornings smell of bread
town|in|the streets are narrow and full of bicycles|the clock on the square is always four minutes late|somebody is always carrying a ladder
city|in|the windows shine until late|trams ring around the corners|people walk fast and smile slowly
market|at|the tables bend under pears and cheese|everybody talks at once|the scales have the last word
lighthouse|at|the lamp turns all night|the waves break on the rocks below|the stairs go round and round
mill|at|the big wheel turns in the stream|flour floats in the light|the floor trembles a little
farm|on|hens walk about as if they owned it|the tractor is nearly as old as the barn|it smells of hay
island|on|the path goes around it in an hour|seals lie on the rocks|the wind has combed all the trees in one direction
beach|on|the waves bring shells and take sandcastles|the sand is warm on top and cool below|small birds run after the water
mountain|on|the path is steep and full of stones|the air is thin and clear|one can see tomorrow's weather coming
hill|on|the grass is short and full of daisies|sheep lie in the shade of the only tree|one can see the sea on good days
valley|in|the river winds like a ribbon|the bells of the cows ring from both sides|the mist stays until breakfast
meadow|in|the grass comes up to the knees|bees go from flower to flower|crickets play all afternoon
garden|in|the beans climb up their poles|a robin watches whoever digs|the roses lean over the wall
castle|in|the halls are cold and full of echoes|flags move in the wind|somebody polishes the armour every Friday
cave|in|water drips from the ceiling|every whisper comes back|it is cool even in August
desert|in|the sand goes on to the end of the world|the nights are cold and full of stars|nothing hurries
jungle|in|everything drips and sings|the leaves are as large as doors|monkeys comment on everyone who passes
river|by|the water talks to itself over the stones|willows hang their hair into it|a heron waits and waits
lake|by|the water is as flat as a plate|the mountains look at themselves in it|a fish jumps and is gone
pond|by|frogs sit on the lily leaves|dragonflies hang in the air|the ducks hold a meeting
sea|by|the waves come in one after the other|the horizon is drawn with a ruler|ships pass as slowly as clouds
school|at|the chalk squeaks|the windows are full of paper stars|the bell is the favourite sound of everyone
library|in|the shelves reach to the ceiling|someone turns a page|it smells of paper and quiet
bakery|in|the oven glows like a small sun|the windows are steamed up|the first rolls are always a little too hot
kitchen|in|the kettle sings|a pot lid rattles|something with onions is on the stove
workshop|in|wood shavings cover the floor|every tool hangs in its place but one|the radio plays quietly
attic|in|the dust dances in the light|old trunks stand under the roof|the rain sounds very near
cellar|in|the jars stand in rows|it is dark and cool|one bottle always rolls away
station|at|the trains come and go|the big clock has seen every farewell|a whistle blows
railway station|at|the rails shine in both directions|somebody waits with flowers|the loudspeaker says something that nobody understands
bridge|on|the river runs below|every step sounds hollow|people stop in the middle without knowing why
park|in|children feed the ducks|old men play chess under the trees|the benches are warm in the sun
street|in|lamps stand in a row|cats sit on the walls|somebody is practising the piano
palace|in|the mirrors see everything twice|the carpets swallow every step|the clocks are wound by hand
tower|in|the stairs never seem to end|the wind whistles through the slits|the whole country lies below
ship|on|the ropes creak|the deck smells of salt|the stars seem to swing from side to side
moon|on|the dust is grey and soft|every step is a jump|the earth hangs in the sky like a blue lamp
space station|on|the sun rises every ninety minutes|crumbs float away|the machines hum day and night
swamp|in|the mud makes rude noises|mist lies between the trees|toads sing in the evening
orchard|in|the apples hang red in the grass-green trees|wasps have a feast|ladders lean against the trunks
vineyard|in|the rows run up the hill|the grapes grow heavy|the evening sun lies on the leaves
windmill|at|the sails go round|the wood creaks like an old ship|sparrows live under the roof
museum|in|the floors shine|everything is older than it looks|the guards know every painting by heart
theatre|in|the curtain is red and heavy|everyone whispers|the lamps go down
circus|at|the tent is striped|it smells of sawdust and popcorn|a trumpet plays too loudly
fair|at|the wheel turns with all its lights|music comes from five sides|everything is sticky
north pole|at|the snow squeaks under every step|the lights dance green in the sky|the nearest neighbour is a bear
inn|at|the fire is lit by four o'clock|the soup is thick|travellers tell each other half of the truth
bookshop|in|the books stand in two rows on every shelf|a cat sleeps on the poetry|the bell rings when somebody comes in
quarry|in|the stones lie in great steps|every hammer has an echo|the dust makes everyone grey
train|on|the fields run past|the wheels say the same thing over and over|someone always has sandwiches
treehouse|in|the floor moves a little in the wind|the ladder can be pulled up|the leaves look in at the window
office|in|the screens glow|the coffee is older than the day|a printer sighs
data centre|in|the fans roar like a waterfall|thousands of small lamps blink|it is warm behind the machines and cold before them
""")

# noun | what it is
ABSTRACT = rows("""
courage|being afraid and going on anyway
friendship|when two people make each other's days lighter
kindness|doing good without writing it down
patience|waiting without making a face
honesty|saying what is so, also when it is not comfortable
trust|leaving the door open for someone
hope|a small light that needs no oil
luck|what people call it when they did not see the work
love|wanting somebody else to be well
happiness|what comes in quietly while you are busy with something good
sadness|a heavy coat that you can take off when it has rained enough
loneliness|a room with one chair
curiosity|an itch that only an answer can scratch
wisdom|knowing what to leave out
freedom|being able to go, and to stay
justice|giving each their share
peace|when nobody has to listen for footsteps
anger|a fire that is useful in a stove and nowhere else
fear|a watchman who sometimes shouts too early
jealousy|counting what is on somebody else's plate
greed|a bag with a hole in it
gratitude|remembering who held the ladder
forgiveness|tearing up the bill
time|what keeps everything from happening at once
memory|a house where some doors stick
truth|what is still there when you stop arguing
beauty|what makes you stop in the middle of the road
wonder|looking at a thing as if you had just arrived
home|the place where they notice that you are late
teamwork|many hands and only one plan
imagination|seeing what is not there yet
sharing|making two small meals out of one big one
silence|the sound of snow
music|time that has been decorated
magic|what a trick is before it is explained
winter|the season when the garden sleeps
summer|the season when the evenings are long
autumn|the season when the trees count their leaves and let them go
spring|the season when everything tries again
night|the other half of the day, and the quieter one
snow|rain that has taken its time
rain|how the sea visits the hills
wind|air that has somewhere to be
thunder|the sound of lightning, which arrives late
space|the very large place in which everything else is
football|a game in which twenty-two people want one ball
science|a way of asking so that the world can answer no
mathematics|the art of being certain about small things
money|a promise that people pass from hand to hand
bread|flour, water, salt and time
honey|what bees make from flowers
tea|hot water that has been told about leaves
coffee|a hot drink that gets people to the office
chocolate|a sweet brown thing that is nearly always a good idea
cheese|milk that has been taught to wait
soup|a meal that you can drink if nobody looks
pizza|a flat bread with cheese, and a reason to come home
ice cream|milk and sugar that must be eaten before it runs away
gold|a soft yellow metal that people have always liked too much
sand|very small stones
water|what nearly everything alive is made of
fire|what happens when wood and air meet and it is hot enough
sleep|what mends you while you are not looking
school|where you learn things, some of them in lessons
war|what happens when people stop listening
""")

# adjectives that suit somebody, and adjectives that suit a thing
PERSON_ADJ = words("""
small, little, old, young, tall, shy, brave, clever, curious, careful, cheerful, clumsy, friendly, gentle, grumpy, honest, hungry,
impatient, kind, lazy, lonely, lost, merry, modest, nervous, noisy, patient, playful, polite, proud, quiet, restless, serious,
sleepy, slow, stubborn, thoughtful, tidy, tired, tiny, timid, wise, worried, forgetful, generous, hopeful, busy, bold, absent-minded,
dreamy, fearless, foolish, humble, jolly, loyal, mischievous, stylish, sensible, sneaky, skinny, round, fat, short-sighted,
one-eyed, left-handed, barefoot, blue, red, green, grey, white, black, golden, silver, invisible, magical, enormous, purple
""")
THING_ADJ = words("""
small, little, old, new, tiny, large, huge, round, square, long, short, heavy, light, bright, dark, shiny, dusty, rusty, broken,
cracked, golden, silver, copper, wooden, glass, paper, iron, blue, red, green, yellow, white, black, grey, purple, orange, pink, brown,
striped, spotted, plain, strange, odd, curious, beautiful, ugly, precious, forgotten, lost, secret, magic, warm, cold, wet, dry,
soft, hard, smooth, rough, crooked, straight, hollow, empty, full, quiet, loud, singing, talking, sleeping, glowing, flying, floating,
ancient, modern, cheap, expensive, useful, useless, perfect, clever, stubborn, invisible, frozen, painted, carved, folded, borrowed,
stolen, second-hand, crimson, violet, turquoise, ivory, sparkling, velvet, woollen, tin, brass, silent, lonely, last, first
""")
COLOURS = words("red, blue, green, yellow, white, black, grey, purple, orange, pink, brown, golden, silver, turquoise, violet")

GIRLS = words("""
Mira, Anna, Lena, Ida, Nora, Clara, Rosa, Tilda, Greta, Lucy, Emma, Ella, Alice, Maya, Zoe, Ruth, Hanna, Petra, Olga, Vera, Ada, Edith,
Martha, Sophie, Julia, Marie, Elsa, Frida, Ines, Carmen, Lucia, Bianca, Amina, Fatima, Leila, Yasmin, Priya, Anjali, Meera, Mei, Yuki,
Hana, Sakura, Nia, Zara, Amara, Imani, Wanda, Agnes, Betty, Daisy, Holly, Ivy, Lily, Poppy, Molly, Polly, Sally, Tess, Willow, Robin,
Freya, Sigrid, Astrid, Linnea, Saga, Kaja, Eva, Lea, Mila, Nina, Tamara, Sonja, Marta, Paula, Rita, Sara, Laura, Helen, Grace,
Margaret, Dorothy, Mabel, Hazel, Pearl, Ruby, Olive, Beatrice, Matilda, Rosie, Kate, Jane, Mary, Susan, Peggy, Winnie, Flora, Nell
""")
BOYS = words("""
Tom, Ben, Sam, Max, Leo, Finn, Jack, Oliver, Henry, Oscar, Felix, Hugo, Emil, Anton, Otto, Karl, Paul, Peter, Jonas, Lukas, Noah, Elias,
Milo, Theo, Arthur, Edgar, Victor, Walter, Albert, Alfred, Bruno, Boris, Igor, Ivan, Pavel, Milan, Marek, Jan, Lars, Nils, Sven, Olaf,
Erik, Axel, Gustav, Diego, Pablo, Carlos, Mateo, Luca, Marco, Dario, Omar, Ali, Hassan, Karim, Samir, Ravi, Arjun, Kiran, Chen, Wei, Kenji,
Hiro, Taro, Kofi, Kwame, Jabari, Simon, David, Daniel, Adam, Martin, George, William, James, John, Robert, Harry, Charlie, Alfie, Archie,
Freddie, Toby, Barnaby, Rufus, Jasper, Silas, Ezra, Caleb, Gilbert, Humphrey, Percy, Wilbur, Eddie, Ned, Ted, Will, Bill, Jim, Joe, Dan
""")
# names for animals, things and anybody else
PET_NAMES = words("""
Pip, Nib, Bramble, Button, Pepper, Pebble, Thistle, Acorn, Biscuit, Crumb, Dot, Fern, Flint, Gus, Hob, Inky, Juniper, Kip, Lark, Moss,
Nettle, Oats, Patch, Quill, Rusty, Sorrel, Tansy, Umber, Velvet, Whiskers, Yarrow, Ziggy, Bumble, Clover, Dandy, Echo, Fidget, Ginger,
Hazelnut, Jingle, Mochi, Noodle, Olly, Pickle, Rascal, Scout, Tuppence, Waffles, Buster, Cinder, Domino, Ember, Fudge, Gizmo, Hopper,
Jolly, Marble, Nutmeg, Orbit, Pudding, Rolo, Shadow, Tinker, Wobble, Bean, Bubbles, Chip, Socks, Smudge, Speckle, Sprout, Tock, Twig
""")
FOODS = words("""bread, soup, honey cake, apple pie, cheese, pancakes, plum jam, porridge, potato soup, mushroom stew, roast chestnuts,
ginger biscuits, raisin buns, blackberry tart, noodles, fried eggs, onion soup, toast, dumplings, bean stew, pumpkin pie""")
