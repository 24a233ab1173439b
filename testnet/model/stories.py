"""How does a story go? Plots as lists of beats; each beat is a list of ways to tell it.

Slots: h hero, o the other one, t the thing, u a second thing, p the place, q another place, m a theme,
f food, w what the weather did. Everything is in the past tense, so no verb has to be bent.
"""
from grammar import Thing, say, cap, with_article
import words as W

# ---------------------------------------------------------------- shared beats

OPEN = [
    "Once upon a time, there {was|lived} <h.intro>.",
    "Once upon a time, {there was <h.intro> who lived <p.ina>|<h.intro> lived <p.ina>}.",
    "Once upon a time, <p.ina>, there lived <h.intro>.",
    "There was once <h.intro> who lived <p.ina>, where <p.see>.",
    "Long ago, {when the nights were darker than now|before there were engines|when bread cost a penny}, <h.intro> lived <p.ina>.",
    "<H.intro> lived <p.ina>, where <p.see>.",
    "<P.ina>, where <p.see>, lived <h.intro>.",
    "{Far away|Not far from here|A long walk from anywhere}, <p.ina>, lived <h.intro>.",
    "This {happened|took place} <p.ina>, where <p.see>. <H.intro> lived there{| and knew every corner of it| and was seldom in a hurry}.",
    "<P.ina> everybody knew everybody, and everybody knew <h.intro>.",
    "One {cold|bright|windy|quiet|rainy|golden} {morning|evening|afternoon|day}, <h.intro> {sat|stood|woke up|was out walking} <p.ina>, where <p.see>.",
    "It was {early|late|nearly dark|almost noon} <p.in>, and <p.see>. <H.intro> was {wide awake|already up|thinking|humming a tune}.",
]
TRAIT = [
    "<H> {loved|liked} {early mornings|warm soup|long walks|the sound of rain|old songs|a good question|new bread} and {did not like|could not stand} {to be hurried|loud noises|wet feet|long goodbyes|being laughed at}.",
    "Every {morning|day|evening} <h.he> {went for a walk|swept the floor|watered the flowers|counted the clouds|hummed the same tune|looked out over the roofs} and {was content|thought about {supper|the sea|tomorrow|nothing much}}.",
    "People said that <h.he> was {too slow|too quiet|too curious|a little odd|a dreamer}, but <h.he> did not mind{| much| as long as there was soup}.",
    "<H> had {few things|not much}: {a bed, a cup and a window|a chair, a kettle and a good view|a warm coat and an old spoon}.",
    "<H> was {not very big|not very strong|not very fast|not very brave}, but <h.he> {listened well|never gave up|could keep a secret|was kind to everyone|had good ideas}.",
    "Nobody {told better jokes|asked better questions|made better soup|laughed more loudly|walked more slowly} than <h>.",
    "<H> knew {every path|everybody by name|where the best berries grew|all the old songs} and {was happy to share|told anyone who asked|kept it to <h.self>}.",
    "",
    "",
]
WISH = [
    "More than anything, <h> wanted <t.a>.",
    "<H> had only one wish: <t.a>.",
    "There was one thing that <h> {wished for|dreamed of} every night, and that was <t.a>.",
    "\"If only I had <t.a>,\" <h> {said|sighed|thought} {every evening|again and again|to the wall}. \"{Then I would be happy|Then everything would be different|Just one, I do not need two}.\"",
    "What <h> {needed|wanted} most was <t.a>, and <t.a> is not {easy to find|a thing that grows on trees|sold at every corner}.",
    "<H.he> had seen <t.a> once, {long ago|in a window|in a dream}, and could not forget it.",
]
MEET = [
    "On the {way|road} <h.he> met <o.intro>.",
    "{Halfway there|Behind a hill|Around the next corner|By the side of the road} sat <o.intro>.",
    "Then <o.intro> came along, {carrying a basket|whistling|out of breath|looking for company|with mud up to the knees}.",
    "Just then <h.he> heard a voice. It was <o.intro>.",
    "{Soon|After a while|Before long}, <h.he> came across <o.intro>, who was {resting in the shade|eating an apple|fixing a fence|looking at the sky}.",
    "There, {under a tree|on a stone|in the long grass}, sat <o.intro>.",
]
GREET = [
    "\"Where are you going?\" asked <o>.",
    "\"You look {tired|worried|lost|as if you had a plan},\" said <o>.",
    "\"Good {morning|evening|day},\" said <o>. \"{What brings you here?|Can I help you?|You are far from home.}\"",
    "<O> {waved|nodded|made room} and asked {where <h> was going|what <h> was looking for}.",
    "They looked at each other for a {moment|while}. \"{Well|So},\" said <o>, \"{it is a nice day for it|here we are|somebody has to speak first}.\"",
]
ASK = [
    "\"I am looking for <t.a>,\" said <h>. \"{Have you seen one?|It must be somewhere.|I will not go home without it.}\"",
    "\"I {want|need} <t.a>,\" said <h>, \"{but I do not know where to look|and I have looked everywhere|more than anything}.\"",
    "<H> told <o> {everything|about the wish|what was the matter}.",
]
OFFER = [
    "\"I will come with you,\" said <o>. \"Two {see more than one|are warmer than one|are harder to lose}.\"",
    "\"I can help,\" said <o>, \"{but you must be patient|if you carry the lamp|if there is soup at the end|but do not tell anyone}.\"",
    "<O> thought {for a while|about it} and {nodded|smiled}. \"{Follow me|Let us try together|I know a way},\" said <o>.",
    "\"{That is easy|That is hard, but not impossible},\" said <o>. \"{We only have to start|One step and then another|First we have lunch}.\"",
    "\"Then we shall {look together|go together},\" said <o>, and that was that.",
]
JOURNEY = [
    "They walked {all day|until the sun went down|for three days|over two hills and through one river}{| and sang the same song eleven times| and shared the last apple| without saying much}.",
    "The way led {through <q.form>|past <q.form>|along a river and past <q.form>}, {and it was longer than it looked|and the wind came from the front|but nobody complained}.",
    "First they came {to <q.form>|past <q.form>}, where <q.see>. {They did not stop.|They rested for a while.|It was not there.}",
    "It rained, and then it {rained more|stopped|snowed a little}, and {still they went on|nobody turned back|the road did not end}.",
]
HARD = [
    "{But|Then} {the path ended|the bridge was gone|the door was locked|it grew dark|a storm came up|the river was too wide}, and <h> {did not know what to do|wanted to turn back|sat down and was close to tears|felt very small}.",
    "{But|Now} <h> was {afraid|tired|cold and wet|out of ideas}. \"{I cannot do it|It is too far|I should have stayed at home},\" <h.he> {said|whispered}.",
    "Three times <h.he> tried, and three times {it went wrong|<h.he> fell|it was no use}.",
    "It was {harder|further|higher|darker} than <h.he> had thought. {Even the stars had gone to bed.|Nobody had warned <h.him>.|The wind laughed at <h.him>.}",
]
TRYAGAIN = [
    "\"{Once more|Try again},\" said <o>. \"{The fourth time is the best|It only has to work once|I will hold the rope|Slowly this time}.\"",
    "Then <h> took a deep breath and {tried again|went on|closed <h.his> eyes and jumped|counted to ten}.",
    "<O> {held out a hand|said nothing, but stayed|began to sing quietly|lit a small light}, and that {helped|was enough|made all the difference}.",
    "<H> thought about {home|all the people who were waiting|what <o> had said|the warm kitchen}, stood up and {went on|tried once more}.",
]
GOT = [
    "And there it was: <t.a>.",
    "There, {between two stones|under an old tree|on a shelf|in the grass|at the very end of the path}, was <t.a>.",
    "And then, when nobody expected it any more, they {found|saw} <t.a>.",
    "Behind the last door was a small room, and in the small room was <t.a>.",
]
JOY = [
    "<H> {laughed out loud|jumped for joy|could hardly believe it|did a little dance|was so happy that <h.he> forgot to speak}.",
    "\"{We did it|There it is|At last},\" {said|cried|whispered} <h>.",
    "{<O> smiled and said nothing.|<O> clapped until it echoed.|\"I told you so,\" said <o>, who had not told anyone anything.}",
]
END = [
    "That evening {they|the two of them} {ate <f>|shared <f>|sat by the fire and ate <f>} and {told the story to everyone|laughed about it|watched the stars come out|said nothing, because nothing was missing}.",
    "And from that day on, {they were friends|<h> was never lonely again|<h> and <o> were seldom apart|the two of them met every week}.",
    "And if {nobody has moved it|you go there|you are very quiet}, you can {still see <t>|find <t> there to this day|hear them laughing}.",
    "When they came home, {everybody wanted to hear the story|the lamps were lit and <f> waited on the table|it was late and the soup was cold, and it was the best soup in the world}.",
    "{And so it ended well|It was a good end}, {as most things do when somebody helps|which is all one can ask of an end|and the beginning of something else}.",
    "<H> {slept well that night|went to bed with a smile|slept like a stone that night}, and {<t> stood on the windowsill|the moon shone on <t>|<o> snored in the next room}.",
    "They {kept|put} <t> {on the shelf|above the door|by the window}, where everyone could see it, and {told every visitor how it came there|nobody ever asked what it had cost}.",
]
LESSON = [
    "<H> had learned that {a thing is worth more when it is shared|asking for help is not the same as being weak|the longest way is shorter with a friend|small steps also arrive|being small is no reason to think small}.",
    "<H> had learned that {two heads can carry more than one|the truth is lighter than a secret|one must begin before one is ready|what looks useless may only be early|a friend is worth more than a prize|nobody is too old to learn something}.",
    "\"{Next time|From now on},\" said <h>, \"I will {ask sooner|start earlier|listen first|bring a friend|believe you}.\"",
    "And <h> {understood|saw now} that {the best part had been the way there|nobody has to do everything alone|one can be afraid and brave at the same time|a kind word weighs nothing and carries far}.",
    "",
    "",
    "",
]
THEME_OPEN = [
    "<H> had heard {a great deal|many stories} about <m>, but {did not know what it was|had never quite understood it|wanted to see it for <h.self>}.",
    "Everybody talked about <m>. <H> wanted to know {what it was|what all the talk was for|how it worked}.",
    "\"What is <m>?\" <h> asked one day. {Nobody had a good answer.|Everyone gave a different answer.|\"You will see,\" people said.}",
    "There was nothing that <h> {loved|liked} more than <m>.",
    "This is a story about <m>, {although it does not look like one at first|so listen well|and it is nearly true}.",
]
THEME_END = [
    "{And that|That} is {all there is to say|what I know} about <m>.",
    "And that was when <h> {understood|knew} what <m> was: <m.is>.",
    "\"So this is <m>,\" said <h>. \"{It was here all the time|I had imagined it bigger|I like it}.\"",
    "\"{Now I know|I think I see},\" said <h>. \"<M> is <m.is>.\"",
]
SECOND_THING = [
    "<H> never went anywhere without <u.a>, {and nobody knew why|in case it was needed|which had belonged to <h.his> grandmother}.",
    "<H> also owned <u.a>{, which was never of any use|, and was a little proud of it| and had never found out what it was for}.",
    "That morning <h.he> had found <u.a> {in the grass|by the road|under a bench} and {taken it along|thought that it might be useful}.",
    "<P.in> there was also <u.a>, but {nobody paid any attention to it|that comes later|it belonged to nobody}.",
]
SECOND_USE = [
    "And <u>? {It came in useful after all|It had been there all the time|Without it, everything would have gone wrong}.",
    "Without <u> {it would never have worked|none of this would have happened}.",
    "{In the end|And so} <u> and <t> {stood side by side|belonged together, as everyone could see|were both taken home}.",
]
BED_END = ["And then {everyone|<h>} {fell asleep|went to sleep}, and {so should you|the moon kept watch|so can you}. Good night.",
           "The {moon|last lamp} {went behind a cloud|went out}, and <p.in> everybody slept. Good night."]

# ---------------------------------------------------------------- plots

QUEST = [OPEN, TRAIT, WISH,
         ["So one {morning|day} <h.he> {packed a bag|put on <h.his> boots|left a note on the door|locked the door} and set out {to find one|to look for it|into the world}.",
          "\"Wishing does not help,\" said <h> {one morning|at last}. \"{Walking does|Looking does}.\" And <h.he> set out."],
         MEET, GREET, ASK, OFFER, JOURNEY, HARD, TRYAGAIN, GOT, JOY, LESSON, END]

LOST = [OPEN, TRAIT,
        ["<H> {owned|had} <t.a>, and {it was <h.his> greatest treasure|<h.he> loved it more than anything|it went with <h.him> everywhere}.",
         "In a {box|drawer|corner} at home <h> kept <t.a>{|, which had once belonged to <h.his> grandmother|, which <h.he> had made <h.self>}."],
        ["One {morning|day|evening} <t> was gone.", "But one {windy|rainy|foggy} day, <t> disappeared.",
         "One morning <h> woke up, and {where <t> should have been there was nothing|<t> was nowhere to be seen}."],
        ["<H.he> looked {under the bed|behind the stove|in the garden} and {in the teapot|on the roof|in every pocket}. {Nothing.|It was not there.|It was of no use.}",
         "<H.he> searched {everywhere|the whole house|high and low}, {twice|from top to bottom}, and found only {a button and some dust|an old sock|a spoon that had been missing since winter}."],
        MEET,
        ["\"Have you seen <t>?\" asked <h>. \"{Perhaps|I may have},\" said <o>. \"{What does it look like?|When did you see it last?}\"",
         "\"I have lost <t>,\" said <h>, and {<h.his> voice was very small|had to swallow}. \"{Then we will find it|Lost things want to be found},\" said <o>."],
        ["They looked {by the river|<q.in>} and they looked {behind the mill|under every bush}. {At last|In the end} they found <t> {high up in a nest|at the bottom of a well|in the hands of a small child who had found it in the road|exactly where <h> had sat the day before}.",
         "They followed {the footprints|a trail of crumbs|the wind} {to <q.form>|all the way to <q.form>}, and there, {in a corner|under a leaf|on a step}, {lay|was} <t>.",
         "\"Close your eyes,\" said <o>, \"and walk the way you walked yesterday.\" <H> did, and {bumped into it|stopped right in front of <t>}."],
        JOY,
        ["\"How can I thank you?\" asked <h>. \"{Come to tea|Help the next one who has lost something|You just did},\" said <o>.",
         "<H> wanted to give <o> something, but <o> only {shook hands|smiled|wanted to hear the story again}."],
        LESSON, END]

MYSTERY = [OPEN, TRAIT,
           ["One {day|morning|evening}, {on the way home|after the rain|while digging in the garden}, <h> {found|stumbled over|discovered} <t.a>.",
            "Then, one {grey|bright|windy} day, there was <t.a> {in front of the door|on the path|in the middle of the table}. Nobody knew {who had left it there|where it came from}."],
           ["It was no ordinary thing. {When <h> touched it, it hummed.|At night it glowed a little.|Whoever held it told the truth.|It was warm, like a cat in the sun.|It whispered when nobody listened.}",
            "\"What are you?\" <h> asked. \"{I am what I look like|That depends on you|Somebody's, but not yet yours},\" said <t>. {<H> nearly dropped it.|It had a very polite voice.}",
            "It looked like any other, but {whoever carried it was never cold|it always pointed home|whatever it touched began to sing|it grew a little when somebody was kind}."],
           ["<H> could have {kept it|sold it|hidden it}. {But a thing like that is heavy to own alone.|But that did not feel right.|But <h.he> could not stop thinking about it.}",
            "At first <h> {hid it under the bed|told nobody|wanted to keep it}, and {for three days <h.he> hardly slept|it grew quieter every day|it was not much fun alone}."],
           ["So <h.he> {took|carried|brought} it to <o.intro>, who {knew about such things|was old and had seen most things|could keep a secret}.",
            "Then <o.intro> came by and {saw it|asked about it}. <H> {told everything|showed it}, and felt lighter at once."],
           ["\"{Somebody must be missing it|It belongs where it is needed},\" said <o>. \"{Let us find out|What do you think it wants?|Put it where everyone can use it}.\"",
            "<O> turned it around {twice|three times} and {laughed|nodded}. \"{It likes you|It only works when it is shared|I had one when I was young}.\""],
           ["So they {put <t> <p.in>|set <t> in the window}, and {everyone who was lost found the way by it|everybody who passed felt a little better|whoever was sad came and sat beside it}.",
            "They took <t> {to <q.form>|from house to house}, and wherever it came, {people stopped quarrelling|the children fell asleep at once|somebody began to laugh}."],
           LESSON, END]

FRIEND = [OPEN,
          ["<H> had no friends{|, or none that <h.he> knew of}. {<H.he> talked to the teapot, which was a good listener.|In the evening it was very quiet.|<H.he> always set two cups on the table, just in case.}",
           "It was nice <p.in>, but {lonely|a little too quiet}. <H> often wished for somebody to {talk to|play with|share the soup with}."],
          ["One {day|morning}, <o.intro> {moved in next door|came to live nearby|knocked at the door|got lost and ended up there}.",
           "Then, one {rainy|windy|snowy} evening, somebody knocked. It was <o.intro>, {wet to the skin|with a suitcase|and very hungry}."],
          ["At first they did not {like each other|get on}. {<O> was too loud.|<H> was too quiet.|<O> ate the last biscuit.|<H> liked the window open, and <o> liked it shut.}",
           "<H> was {shy|afraid} and {hid behind the curtain|said nothing at all}. <O> {waited|sat down on the step and waited|did not mind}.",
           "\"{Go away|We are closed},\" said <h>, {who was not used to company|and was sorry at once}. \"{Gladly|As you like},\" said <o>, \"{when the rain stops|but I have brought <f>}.\""],
          ["But then {<o> noticed <t.a> on the shelf|<h> saw that <o> carried <t.a>}. \"{Is that yours?|Where did you get that?}\" It turned out that they {both loved such things|had both looked for one all their lives}.",
           "But <o> had <t.a>, and <h> knew how to {mend it|use it|make it work}. {So they had to talk.|So they sat down together.}",
           "Then <t.a> fell {off the shelf|out of the tree|right between them}. Both {jumped|laughed}, and after that it was easy."],
          ["They {talked|played|laughed} until {it was dark|the candle was gone|the stars came out}, and {forgot the time|<f> burned on the stove|neither of them wanted to stop}.",
           "The next day <o> came back, and the day after that as well. {Soon the path between the two houses was worn.|Soon there were two cups on the table every day.}"],
          ["\"{Are we friends now?|Is this what friends do?}\" asked <h>. \"{I think so|We have been since the soup|It looks like it},\" said <o>.",
           "Once they quarrelled about {a spoon|who should go first|<t>}, and both {were sorry|came to say sorry at the same time and bumped heads}."],
          LESSON, END]

FEAR = [OPEN,
        ["<H> was afraid of {the dark|thunder|deep water|high places|loud noises|strangers|being alone}{, and everybody knew it|, but told nobody| and was ashamed of it}.",
         "There was one thing that <h> was afraid of, and that was {the dark|the old bridge|the cellar|the noise behind the wall|the wind at night}."],
        ["\"{There is nothing to be afraid of|It is all in your head},\" people said, {which did not help at all|and they meant well}.",
         "Every {night|evening} <h.he> {hid under the blanket|counted to a hundred|kept a light burning}."],
        ["Then, one night, <o.intro> {got lost|fell into the river|was caught in the storm|did not come home}, and {nobody else was awake|everybody else was away|there was no time to fetch help}.",
         "One evening there was a cry {from outside|in the distance}. <O.intro> {was stuck|needed help|had fallen down the slope}."],
        ["<H> {trembled|stood in the door and shook|wanted to hide}. Then <h.he> took <t.a> and {went out|ran|stepped into the dark}.",
         "{<H.his> knees were like butter|<H.his> heart beat like a drum}, but <h.he> {took <t.a> and went|held on to <t.a> and went out|thought of <o>, took <t.a> and ran}."],
        ["{Step by step|Slowly, slowly} <h.he> {came nearer|went on}, and {every step was a little easier|the dark turned out to be only dark|nothing bit <h.him>}. \"{I am here|Hold on},\" <h.he> called.",
         "It was {dark and wet|cold and loud|further than by day}. But <h.he> did not turn back, and at last <h.he> {found|saw|reached} <o>."],
        ["Together they {climbed out|walked home|found the way back}, with <t> {in front|between them|held high}.",
         "With <t> <h.he> {made a light|built a kind of bridge|showed the way}, and soon {both were safe|they were out of danger}."],
        ["{\"You are brave,\" said <o>. \"I was afraid the whole time,\"|\"Were you not afraid?\" asked <o>. \"Very,\"} said <h>. \"{That is what makes it brave|Then it counts double},\" said <o>.",
         "\"Thank you,\" said <o>. \"{I knew somebody would come|I hoped it would be you}.\" <H> {blushed|did not know what to say|looked at the floor and smiled}."],
        ["After that <h> was still {a little afraid|afraid now and then}, but {it did not matter so much|the fear had become smaller than <h.he> was}.",
         "Since that night <h> {sleeps without a lamp|goes first when it is dark|is asked whenever somebody needs help}."],
        END]

MEND = [OPEN, TRAIT,
        ["One day <t.full> {broke|stopped working|fell down and broke}. {Everybody needed it|It had been there for a hundred years|<H> had it from <h.his> grandfather}{.|, and now it was in pieces.}",
         "<P.in> there was <t.a> that {nobody could mend|had not worked for years}. {Everyone had tried.|People had got used to it.}"],
        ["\"{Throw it away|Buy a new one|It is no use},\" said {the neighbours|everyone}. But <h> {shook <h.his> head|would not hear of it|took it home}.",
         "\"Let me try,\" said <h>. {Some people laughed.|People smiled at each other.|Nobody had a better idea.}"],
        ["<H.he> worked {all night|for three days|until the candle was gone}. {The first try made it worse.|The first try was no good.} {So was the second.|The second was not much better.}",
         "<H.he> {took it apart|turned it over} and {looked at every piece|listened to it}. {Something was missing, but what?|One piece was left over, which is never a good sign.}"],
        ["Then <o.intro> {looked in at the window|came by} and {watched for a while|asked what <h.he> was doing}. \"{It is upside down|You are missing a screw|You need patience and a little oil|Have you tried asking it?},\" said <o>.",
         "At last <h.he> asked <o.intro> for help, {which was harder than the work|and that was the cleverest thing <h.he> did that week}."],
        ["Together they {tried again|turned it the right way round|tied it with string}. {Click!|There was a small sound.|It coughed once.} And then {it worked|it was whole again|it ran as if nothing had happened}.",
         "Piece by piece they put <t> together again. {It did not look new, but it worked.|It looked a little crooked, and it was better than before.}"],
        ["\"{It has a crack now,\" said <h>. \"So has everyone|One can see where it was broken,\" said <h>. \"That is how one knows that somebody cared},\" said <o>.",
         "{Everybody came to see it.|The people who had laughed came to shake hands.|That evening there was a small feast.} \"How did you do it?\" they asked. \"{Slowly|Together|With string},\" said <h>."],
        LESSON, END]

RACE = [OPEN,
        ["Every year there was a {race|great race|contest} <p.in>, and the prize was <t.a>.",
         "One day a notice hung {on the door|on a tree}: whoever came first {around <q.form>|over the hill and back} would win <t.a>."],
        ["<H> wanted to win. So did <o.intro>, who had {won it twice already|longer legs|never lost}.",
         "\"You will never win,\" said <o.intro>{, who always won.|. \"Look at you!\"} <H> {said nothing|only tied <h.his> shoes} and {practised every morning|thought about it}."],
        ["{Off they went!|The whistle blew.} <O> was {far ahead|in front at once}, and <h> {came last|ran as fast as <h.he> could|kept an even step}.",
         "On the day of the race {it rained|the sun shone|half the country came to watch}. <O> {shot away like an arrow|did not even look back}."],
        ["But {near the end|at the bridge|in the mud}, <o> {slipped and fell|got stuck|hurt a foot}. <H> could have {run past|won easily}. {Everyone held their breath.|The finish was already in sight.}",
         "Then <h> saw <o> {lying by the road|up to the waist in the mud}. {Nobody else had noticed.|The finish was only a few steps away.}"],
        ["<H> stopped. \"{Come|Take my hand|Lean on me},\" <h.he> said. And so they {crossed the line together|came in side by side, the very last of all}.",
         "\"{Winning alone is dull|The prize can wait},\" said <h>, and {gave <o> a hand|helped <o> up}. They {walked|limped} to the end arm in arm."],
        ["The judge {scratched his head|did not know what to do}. {In the end they both got <t>|At last <t> was given to both of them}, {and they had it by turns|one half of the year each|and they shared it like brothers and sisters}.",
         "Somebody else won <t> that day. But {nobody remembers the name of the winner|the people clapped longest for those two}."],
        ["\"Why did you stop?\" asked <o> later. \"{You would have done the same|I was out of breath anyway},\" said <h>. <O> {thought about that for a long time|was not so sure, but wanted to be}.", "After that, <o> {never laughed at anyone again|trained together with <h> every morning}."],
        END]

STORM = [OPEN, TRAIT,
         ["One night a storm {came over|hit} <p>. {The wind took the roofs and the rain came in sideways.|The trees bent and the lamps went out one after the other.}",
          "Then came the {longest|hardest|coldest} winter that anyone could remember. {The snow lay up to the windows.|The wells froze and the bread ran out.}"],
         ["Everyone {was afraid|ran about and shouted|asked what to do}, even <o.intro>. Then <h> {thought of <t.a>|remembered <t.a> that stood at home}.",
          "\"What can we do?\" {cried|asked} <o.intro>. \"{I do not know yet|Give me a moment},\" said <h>, and {looked around|thought hard}. Then <h.he> saw <t.a>."],
         ["\"{With that?|What do you want with <t>?}\" asked <o>. \"{Wait and see|It is all we have},\" said <h>.",
          "<H.he> {fetched|took} <t> and {climbed onto the roof|ran to the highest point|called everyone together}."],
         ["It {was not much|was only one small thing}, but {it could be seen from far away|everyone gathered around it|it held}. One after the other {the lost ones found the way|the neighbours came and helped|people joined in}.",
          "<O> held one end and <h> the other, and {they did not let go until the morning|together they were just heavy enough|so they held out through the night}."],
         ["In the morning {the sun came out|it was quiet}. {Nobody was missing.|Everything was wet, but everyone was there.} People {embraced each other|laughed and cried at once|looked for their hats}.",
          "When it was over, {the people counted each other twice|they looked at what was left}. It was {enough|more than they had feared}."],
         ["\"{Who would have thought that of <t>|And all that with <t>},\" said <o>. \"{It was all of us|It only needed somebody to hold it},\" said <h>.", LESSON[0], ""],
         END]

TALLY = [OPEN,
         ["<H> {had|owned} <t.a>, and <o.intro> {needed|wanted} it {for a week|until the harvest|for a long journey}. But neither {trusted the other yet|knew the other well}.",
          "One {autumn|spring}, <o.intro> came and asked to borrow <t.a>. \"{How do I know that you will bring it back?|Can I trust you?}\" asked <h>."],
         ["\"{We shall cut a tally|Let us make a tally stick},\" said <o>. {They took a hazel stick, cut notches in it and split it down the middle.|They cut one notch for every day and split the stick in two.} Each kept a half.",
          "So they took a stick, cut {three|five|seven} notches into it, and split it along its length. \"{One half for you and one for me|Nobody can cheat now},\" said <o>, \"{for the notches must match|for a notch cannot be added to one half alone}.\""],
         ["{The days went by|Weeks passed}, and <o> did not come. \"{You will never see it again|You were too trusting},\" said the neighbours. <H> {looked at the stick and waited|said nothing and put the stick above the door}.",
          "{Winter came early|The snow fell and closed the roads}. <H> often {took out <h.his> half|held the half stick in <h.his> hand} and {wondered|counted the notches}."],
         ["Then, one {evening|morning}, there was a knock. It was <o>, {thin and tired|covered with snow|with a limp}, and {under one arm was <t>|carried <t> wrapped in a coat}.",
          "At last, {with the first sun|on the very last day}, <o> came {down the road|over the hill} with <t>, {cleaned and polished|and not a scratch on it}."],
         ["They put the two halves {together|side by side}, and every notch {met its other half|matched}. {Neither said a word, and neither had to.|\"Paid,\" said <h>. \"Paid,\" said <o>.}",
          "\"I have my half,\" said <o>. \"Have you yours?\" They held them together, and {the wood closed as if it had never been split|not a hair would have fitted between them}."],
         ["They {burned the stick in the stove|hung the stick over the door} and ate <f>. The next time {they needed no stick|a short stick was enough}.",
          "\"{Why did you trust me?\" asked <o>. \"I did not have to. I had the stick|Were you worried?\" asked <o>. \"A little},\" said <h>. \"{But now I trust you|It was a long wait|Next time a handshake will do}.\""],
         END]

SOUP = [OPEN,
        ["It had been a {hard|dry|long} year <p.in>, and {nobody had much to eat|the cupboards were empty}. {Everyone hid the little they had.|Nobody invited anybody any more.}",
         "One {winter|autumn} there was so little to eat <p.in> that {even the mice moved away|people counted their peas}."],
        ["Then <h> put a {large|big} pot on the square, filled it with water and put <t.a> in it. \"{What will that be?|What are you doing?}\" asked <o.intro>.",
         "<H> owned nothing but <t.a>. \"It will have to do,\" <h.he> said, and {put it in a pot with water|hung a pot over the fire, with that in it}. <O.intro> stopped to watch."],
        ["\"{The best soup in the world|Soup},\" said <h>. \"It is nearly perfect. Only {a carrot|an onion|a little salt} is missing.\" {<O> happened to have one.|<O> ran home and fetched it.}",
         "\"{Soup|Supper for everyone},\" said <h>. \"{A potato would not hurt|If only somebody had an onion}.\" \"{I have one|Mine is very small},\" said <o>, {and went red|and ran}."],
        ["Then a {neighbour|child|stranger} brought {three beans|a turnip|a piece of bacon}, and somebody else {had some salt|had flour|had herbs from the garden}. {The soup became thicker and thicker.|Soon the spoon stood upright.}",
         "One after the other they came, each with {something small|the little they had hidden}: {a bone, two carrots, half a cabbage|some barley, a leek, a bit of butter}."],
        ["In the evening they all sat together and ate. {Nobody had eaten so well for months.|There was enough for everyone, and a bowl for the dog.}",
         "It was enough for {everybody|the whole place}. {They sang until midnight.|They had forgotten how good it was to sit together.}"],
        ["\"And all that from <t.a>!\" said <o>. <H> {took it out, cleaned it and put it back in <h.his> pocket|only smiled}.",
         "\"{It was not <t>, was it?\" asked <o>. \"Of course it was|What was the secret?\" asked <o>. \"The secret is to begin},\" said <h>."],
        LESSON]

NOISE = [OPEN,
         ["One night there was a {strange noise|noise}. {Tap, tap, tap.|Scratch, scratch.|Hoo, it went, and then nothing, and then hoo again.|It rattled and sighed.}",
          "In the middle of the night <h> woke up. {Something was moving outside.|Something creaked.|There it was again: a soft knock.}"],
         ["\"{Who is there?|Is anybody there?}\" <h.he> whispered. Nobody answered. {Only the wind moved the curtain.|The noise came closer.}",
          "<H> pulled the blanket up to <h.his> nose. {It could be a ghost. It could be a thief. It could be both.|<H.he> counted to ten, and then to ten again.}"],
         ["In the morning <h.he> told <o.intro>. \"{A monster|Certainly a ghost},\" said <o>{, who liked to be sure of things| happily}. \"Tonight we will {catch it|stay awake together}.\"",
          "<H.he> went and woke <o.intro>. \"{You are imagining it|It is nothing},\" said <o>. Then they both heard it. {<O> went pale.|\"That is not nothing,\" said <o>.}"],
         ["They took {a broom and a lamp|a pot and a spoon|a net and some courage} and crept {down the stairs|through the grass|along the wall}. {The noise grew louder.|Something moved in the dark.}",
          "They sat in the dark and waited, {back to back|holding hands}. {Midnight came.|The clock struck twelve.} And there it was again."],
         ["<H> jumped forward and held up the lamp, and there was <t.a>. {It was only <t>, moving in the wind.|It had been <t> all along.}",
          "\"Now!\" cried <o>. The light fell on <t.a>. {Nothing else. Only <t>, knocking against the wall.|A mouse had tied itself to it and was trying to get home.}"],
         ["They looked at each other and {laughed until it hurt|laughed so loudly that they woke the street}. \"{I was not afraid|I knew it},\" said <o>, {who was still holding the broom|hidden behind <h>}.",
          "\"{And for that I did not sleep for two nights|So that was the ghost},\" said <h>. They {tied it down|took it inside} and {made tea|ate <f>}."],
         ["Since then, whenever something {knocks|creaks} at night, <h> says, \"Good evening, <t.noun>,\" and {sleeps on|turns over}.",
          "Most monsters {are like that|are small when you hold a lamp to them}, {but it is good to take a friend along|and the rest are asleep by midnight}."]]

GIFT = [OPEN,
        ["It was {nearly|almost} the birthday of <o.intro>, who was <h.poss> best friend. <H> wanted to give something {special|that nobody else would give}.",
         "<H> had a friend, <o.intro>. {Tomorrow was <o.poss> birthday|<O> was ill in bed}, and <h> {had no present|wanted to bring something nice}."],
        ["<H.he> thought of {a hat|a cake|a song}, but {<o> had one already|that was what everyone gave}. {<H.he> thought until <h.his> head hurt.|<H.he> walked up and down.}",
         "In the shop there was <t.a>, but it cost {seven pennies|more than <h.he> had|a fortune}, and <h> had only {three|two and a button}."],
        ["So <h.he> {worked all week|swept the yard for the neighbours|carried baskets at the market}, and {in the end it was just enough for|bought} <t.a>.",
         "Then <h.he> decided to make one <h.self>. {It took the whole night.|It took three tries and all the glue.} In the morning there stood <t.a>{, a little crooked|, not quite dry}."],
        ["On the way <h.he> {slipped|stumbled over a root|was caught in the rain}, and <t> {fell into the mud|got a scratch|was soaked}. <H> {nearly cried|wanted to go home}.",
         "At the door <h.his> courage left <h.him>. {The others had brought larger presents.|Was it good enough?} <H.he> hid <t> behind <h.his> back."],
        ["But <o> {saw it and beamed|turned it around and around}. \"{You made this for me?|This is just what I wanted},\" said <o>. \"{Nobody ever gave me <t.a>|It is perfect, even the crooked part}.\"",
         "\"What have you got there?\" asked <o>, and {saw it|looked}. There was a long silence. Then <o> {laughed for joy|hugged <h>}. \"{It is the best of all|I have always wanted <t.a>}.\""],
        ["<T> stood {on the table|beside the bed} the whole evening, {and everyone had to admire it|next to <f>}.",
         "\"{It is not very big,\" said <h>. \"It does not have to be|It has a scratch,\" said <h>. \"Now I know it from all the others},\" said <o>."],
        LESSON, END]

TRUTH = [OPEN, TRAIT,
         ["<O.intro> had <t.a> and {was very proud of it|loved it dearly}. One day, when nobody was looking, <h> {picked it up|wanted to see it up close}, and {crack, it fell to the floor|it slipped and broke}.",
          "One day <h> borrowed <t.a> from <o.intro> {without asking|and promised to be careful}. {An hour later it was broken.|It did not end well. There was a crack in it.}"],
         ["\"{Nobody saw it|It was the wind},\" thought <h>, and {put it back with the crack to the wall|hid it under a bush}.",
          "<H> {put the pieces in a box|said nothing} and {went home quickly|whistled, a little too loudly}."],
         ["But {that night <h.he> could not sleep|supper did not taste of anything|the secret sat on <h.his> chest like a stone}. {It grew heavier every day.|Everywhere <h.he> thought that people were looking at <h.him>.}",
          "Then {the cat|a stranger|the wrong one} was blamed for it. {That was worse than anything.|<H> felt very small.}"],
         ["In the morning <h> went to <o> and said, \"{It was me. I broke it, and I am sorry.|I have something to tell you.}\"",
          "\"I did it,\" said <h> at last. {It was only three words, but they were the heaviest of the year.|Then it was very quiet.}"],
         ["<O> was {silent for a while|angry for as long as it takes to drink a cup of tea}. \"{Thank you for telling me|That was harder than hiding it},\" said <o>. \"{Now let us see whether it can be mended|A thing can be mended}.\"",
          "\"I know,\" said <o>. \"I saw it. I {was waiting for you to say so|only wanted to know whether you would come}.\""],
         ["They {glued <t> together|mended <t>} the same afternoon. {One can still see the crack, and neither of them minds.|It took two hours and a lot of glue.}",
          "<H> {worked in the garden for a week|made a new one} to make up for it, and <o> {brought lemonade|helped}."],
         ["That night <h> slept {well|better than a king}. {The truth is a hard pillow for one night and a soft one ever after.|A clear head weighs so little.}", LESSON[0]]]

SEED = [OPEN,
        ["One spring, <o.intro> gave <h> a {small|tiny} seed. \"{What will it be?|What grows from it?}\" asked <h>. \"{Wait and see|That is the best part},\" said <o>.",
         "<H> found a seed {in <h.his> pocket|on the road} and planted it <p.in>. {<O.intro> laughed. \"Nothing will grow there.\"|\"What is that going to be?\" asked <o.intro>.}"],
        ["<H> watered it every {day|morning}. {Nothing happened.|A week passed, and there was nothing to see.} {<H.he> told it jokes.|<H.he> sang to it.|<H.he> sat beside it with a book.}",
         "Every morning <h.he> looked. Nothing. {\"Is it broken?\"|\"Perhaps it is asleep,\"} {said|asked} <h>{| sadly}."],
        ["\"{Patience|Give it time},\" said <o>. \"{You cannot pull a plant out of the ground to make it grow|It is busy where you cannot see it}.\"",
         "{After the first warm rain|One morning in May}, there was a {green tip|small green leaf}. <H> {ran to tell everyone|danced around it}."],
        ["It grew {up to the window|as high as the roof|day and night}, and {one morning|at the end of summer} there hung <t.a> from it. {Nobody had ever seen the like.|No gardener could explain it.}",
         "In summer it opened, and inside was <t.a>. {\"That is not in any book,\" said <o>.|Everybody came to look.}"],
        ["<H> could have kept <t>, but {<h.he> gave it to <o>|<h.he> put it where everyone could enjoy it}. {\"I only gave you a seed,\" said <o>.|\"You taught me to wait,\" said <h>.}",
         "Next spring there were {three|a dozen} new seeds. <H> {kept one and gave the others away|gave one to every child in the street}."],
        LESSON, END]

QUESTION = [OPEN,
            ["<H> asked questions all day long. {Why is the moon so far up?|Where does the wind sleep?|Who taught the birds to sing?} {Nobody minded, or hardly.|The others had stopped answering.}",
             "One day <h> {looked at|sat in front of} <t.a> and asked, \"{What is it for?|Where did it come from?|Who made it?}\" Nobody knew."],
            ["Today <h.his> question was about <t>. \"{Ask the wise one|Somebody must know},\" said the neighbours, and {pointed to the hill|shrugged}.",
             "\"{I shall find out|Then I will go and ask},\" said <h>, {and took a piece of bread along|and went at once}."],
            MEET,
            ["\"What do you know about <t>?\" asked <h>. \"{Everything|A little},\" said <o>, \"{except the important part|but it is a long story|and all of it is wrong}.\"",
             "<O> {scratched an ear|looked at the sky}. \"{I have often wondered|My grandmother used to know that}. {Let us ask together|Two can wonder better than one}.\""],
            JOURNEY,
            ["At the end of the road lived {an old woman|an old man with a long beard|somebody very old} who {was said to know everything|had read every book}. \"{Ah|Oh}, <t>,\" came the answer. \"{It is for whoever asks about it|It is there so that somebody will ask|I do not know either, but I am glad you came}.\"",
             "They asked {the river|the oldest tree|the wind|the moon}, which said nothing for a long time, {and that was an answer too|so they sat down to wait}. And while they waited, they understood it by themselves."],
            ["\"{That is not an answer|Is that all?},\" said <h>. \"{No|It is not},\" said <o>, \"{but it was a good walk|but now we have two questions, and that is riches}.\"",
             "<H> went home with {more questions than before|a head full of thoughts} and {was very content|could hardly wait for the morning}."],
            END]

SHORT = [["One day, <h.intro> found <t.a> <p.in>.", "<H.intro> had <t.a> and did not know what to do with it.",
          "Once there was <h.intro> who wanted <t.a>.", "<P.ina>, <h.intro> came across <t.a>."],
         ["<H.he> asked <o.intro> for advice. \"{Keep it|Share it|Give it away|Listen to it},\" said <o>.",
          "<O.intro> wanted it too, so they {shared it|took turns|tossed a coin, and the coin rolled away}.",
          "<O.intro> laughed at it, {and then wanted to borrow it|until it began to rain}."],
         ["{In the end|After that} they were friends, and <t> {stood between them on the table|was hardly needed any more}.",
          "That is how <h> {learned to share|found a friend|became famous for a week}.",
          "They never found out what it was for, {but they had a lovely time|and it did not matter}."]]

# things that want something themselves
OBJ_OPEN = ["Once upon a time, there was <t.a> that {wanted to see the world|felt useless|was tired of standing on a shelf|had never been outside|dreamed of the sea}.",
            "<P.ina>, where <p.see>, there {was|stood|lay} <t.a>. {It had been there for years.|Nobody noticed it.|It was not like the others: it could think.}",
            "There was once <t.a> that nobody {wanted|used|needed} any more. It {stood|lay} <p.in> and {waited|thought about better days}."]
THING_HERO = [OBJ_OPEN,
              ["\"{Is this all?|There must be more than this},\" it {thought|said to itself} every {night|evening}. {The dust did not answer.|Outside, the wind went by.}",
               "The other things laughed at it. \"{You are only <t.a>|What do you want out there?},\" they said. {It did not answer.|But it had made up its mind.}"],
              ["One {night|morning|day}, {somebody left the door open|a storm blew the window open|a cart came by}, and {off it went|it found itself outside}.",
               "Then {<h.intro> came along|one day <h.intro> came in}, {saw it|looked at it for a long time} and {took it along|put it in a bag|carried it out into the light}."],
              ["{On the road|Outside} it met <o.intro>. \"{You are a long way from home|What are you doing here?},\" said <o>. \"{I want to be useful|I am looking for my place},\" said <t>.",
               "The world was {larger|louder|wetter} than it had thought. {It rained.|Cartwheels went past.|It was nearly stepped on.} Then <o.intro> {picked it up|stopped} and {wiped off the mud|asked what was the matter}."],
              ["\"{Then come with me|I know just the place},\" said <o>. And they went {to <q.form>|to <q.form>, where <q.see>}.",
               "<O> needed {something just like it|help that very evening}, for {a storm was coming|it was dark|a child was crying}. \"{Could you?|Would you?},\" asked <o>. {It could.|Of course it would.}"],
              ["And there, {for the first time|at last}, <t> did what it was made for, and {it was wonderful|it felt warm all over|everybody was glad of it}.",
               "It was {a small task|not a great deed}, but {nobody else could have done it|it did it with all its heart}."],
              ["It never went back to the shelf. {It has its own place now, by the window.|If you pass by, greet it from me.|It still tells the other things about it at night, when the house is asleep.}",
               "\"{Thank you|I could not have done it without you},\" said <o>. {And if things could blush, it would have been red all over.|It was the first time that anyone had thanked it.}"]]

# somebody who wants to do something: v is an infinitive
DREAM = [OPEN,
         ["More than anything, <h> wanted to <v>.", "<H> had only one wish: to <v>.", "Every night <h> dreamed of the same thing: to <v>.",
          "<H> wanted to <v>, {and nothing else would do|and told everybody so|but did not dare to say it}."],
         ["\"{You cannot|Nobody like you can} <v>,\" said {the others|the neighbours|everyone}. \"{Be sensible|Come and have some soup}.\" {<H> was sad for a day.|<H> did not listen.}",
          "People {laughed|shook their heads}. \"{You? <V>?|Why would anyone want to <v>?}\" they said. {<H> went red.|But the wish did not go away.}"],
         ["One {morning|day} <h> tried. {It went wrong.|It ended in a puddle.|It was not a success, except for those who watched.} <H.he> {tried again|tried with <t.a>|climbed on <t.a> and tried again}. {It was no better.|It was a little better.}",
          "<H.he> {practised every day|read every book about it|built something out of <t.a>}. {Nothing worked.|It nearly worked, and nearly hurts the most.}"],
         MEET,
         ["\"What are you doing?\" asked <o>. \"I want to <v>,\" said <h>. \"{Then you need a friend and <t.a>|Ah. I once wanted that too|Show me how you begin}.\"",
          "\"I want to <v>, {and I cannot|but I do not know how},\" said <h>. \"{Not yet|Nobody can, the first time},\" said <o>. \"{Let us try it together|I know somebody who can|You begin at the wrong end}.\""],
         ["<O> {fetched <t.a>|had an idea, and it had to do with <t.a>}. They {worked|practised} {for a week|until it was dark|every evening}, and {laughed a lot|fell down a lot|slowly it became something}.",
          "{Day after day|For a whole summer} they tried together, {with <t> and without|with <t.a> and much patience}. {Each time it went a little better.|Mistakes were made, most of them funny.}"],
         ["And then, {one morning|when they had almost given up|without any warning}, it {worked|happened}. <H> could hardly believe it. {Everyone came to see.|The neighbours stood there with open mouths.}",
          "And {so it came that|one fine day} <h> did what nobody had thought possible. \"{Look|I am doing it}!\" {cried|called} <h>. {It did not last long, but it was enough.|It was better than the dream.}"],
         LESSON, END]

DREAMS = ["fly", "sing", "see the sea", "dance", "read", "bake bread", "play the fiddle", "see the world", "cross the river", "be brave", "write a book"]
PLOTS = [QUEST, DREAM, QUEST, LOST, MYSTERY, FRIEND, FEAR, MEND, RACE, STORM, TALLY, SOUP, NOISE, GIFT, TRUTH, SEED, QUESTION]

# ---------------------------------------------------------------- casting

UNIQUE_PLACES = {"moon", "north pole", "sea"}
WATER_PLACES = {"harbour", "island", "beach", "sea", "lighthouse", "river", "lake", "ship", "pond"}
PLACE = {row[0]: row for row in W.PLACES}
DEFINED = dict(W.ABSTRACT)
ANIMAL_KIND = {row[0]: row[1] for row in W.ANIMALS}
CREATURES = [r[0] for r in W.ANIMALS] + [r[0] for r in W.FANTASY]
ROLES = [r[0] for r in W.ROLES]
OBJECTS = [r[0] for r in W.OBJECTS] + W.MORE_OBJECTS
THEMES = [r[0] for r in W.ABSTRACT]


class Being(Thing):
    def form_poss(self, rng):                          # "Pip's", "the fox's"
        return self.form_(rng) + "'s"


def place(rng, noun=None, adj=""):
    noun = noun or rng.choice(W.PLACES)[0]
    row = PLACE[noun]
    if not adj and rng.random() < 0.3 and noun not in UNIQUE_PLACES:
        adj = rng.choice(("small", "quiet", "old", "little", "large", "faraway", "sleepy", "windy", "forgotten", "sunny", "busy"))
    return Place(noun, "place", adj, prep=row[1], see=list(row[2:5]), unique=noun in UNIQUE_PLACES)


class Place(Thing):
    def form_form(self, rng):                          # bare, after another preposition: "past a mill"
        return "the " + self.noun if self.more.get("unique") else with_article(self.full_noun)


def gender_of(rng, noun):
    if noun in W.FEMALE_ROLES:
        return "she"
    return "he" if noun in W.MALE_ROLES else rng.choice(("he", "she"))


def being(rng, noun=None, adj=None, name=None, named=0.7):
    """Somebody for a story. Knows a girl's name from a boy's; unknown names go with either."""
    if noun is None and name and rng.random() < 0.6:
        noun = "girl" if name in W.GIRLS else "boy" if name in W.BOYS else rng.choice(CREATURES)
    if noun is None:
        noun = rng.choice(rng.choice((CREATURES, CREATURES, ROLES, ["girl", "boy"])))
    if adj is None:
        adj = rng.choice(W.PERSON_ADJ) if rng.random() < 0.6 else ""
    gender = gender_of(rng, noun)
    if noun in ("girl", "boy"):
        gender = "she" if noun == "girl" else "he"
        name = name or rng.choice(W.GIRLS if noun == "girl" else W.BOYS)
    elif name in W.GIRLS or name in W.BOYS:
        gender = "she" if name in W.GIRLS else "he"
    elif name is None and rng.random() < named:
        if noun in CREATURES and noun != "witch" and noun != "wizard":
            name = rng.choice(W.PET_NAMES) if rng.random() < 0.6 else invented_name(rng)
        else:
            name = rng.choice(W.GIRLS if gender == "she" else W.BOYS)
    elif name and name[-1] in "aei":
        gender = "she"
    elif name:
        gender = "he"
    if not name and noun in CREATURES and rng.random() < 0.5:
        gender = "it"
    return Being(noun, "being", adj, name or "", gender)


def thing(rng, noun=None, adj=None, mass=False):
    noun = noun or rng.choice(OBJECTS)
    if adj is None:
        adj = rng.choice(W.THING_ADJ) if rng.random() < 0.45 and not mass else ""
    return Being(noun, "mass" if mass else "object", adj)


ONSETS = "b br c ch cl d dr f fl fr g gl gr h j k kl kn l m n p pl pr qu r s sh sk sl sn sp st t th tr tw v w y z".split()
VOWELS = "a e i o u a e i o u ee oo ai ou".split()
CODAS = "b ck d ff g k l ll lt m mp n nd ng nk nt p r rk rn s sk ss st t th x zz ".split(" ")
HEADS = W.words("""tele, micro, thunder, sand, moss, river, cloud, glass, wind, under, over, fore, snow, bread, hand, foot, brick, grass, photo, auto, inter, super, sun,
corn, dust, drift, honey, iron, jelly, kettle, lemon, marsh, night, ocean, pocket, quick, rain, salt, timber, velvet, water, yellow, paper, mountain, button, candle""")
ENDS = W.words("""scope, graph, phone, meter, board, house, stone, berry, wood, worm, fish, bird, cake, boat, bell, horn, root, light, ship, maker, catcher, keeper, stick, pot, wheel,
ment, ness, tion, ator, ette, ist, ium, craft, land, box, hat, cap, ring, song, weed, mill, band, room, field, vision, form, cycle, plane, work, mark, shell""")
TAILS = ["a", "o", "i", "le", "er", "y", "el", "in", "ix", "us", "et", "um", "on", "ow", "oo", "ish", "ling", "ock"]


def syllables(rng, count):
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + (rng.choice(CODAS) if rng.random() < 0.35 or i == count - 1 else "")
                   for i in range(count))


def invented_noun(rng):
    """A word that is in no list, so that copying is learned and not only recalled."""
    if rng.random() < 0.4:
        return rng.choice(HEADS) + rng.choice(ENDS)
    word = syllables(rng, 1) + rng.choice(TAILS) if rng.random() < 0.6 else syllables(rng, rng.choice((1, 2, 2)))
    return word


def invented_name(rng):
    return cap(invented_noun(rng))


def tell(rng, plot, slots):
    parts = []
    for beat in plot:
        line = say(rng, rng.choice(beat), slots) if beat else ""
        if line:
            parts.append(line)
    return parts


def story(rng, hero=None, other=None, thing_=None, second=None, where=None, theme=None, short=False, bedtime=False,
          scary=False, thing_hero=False, paragraphs=None, plot=None, trait=None, extra=None):
    """One story that uses everything it was given and invents the rest. Returns (text, slots)."""
    h = hero or being(rng)
    o = other or being(rng, named=0.35)
    while o.noun == h.noun or (o.name and o.name == h.name):
        o = being(rng, named=0.35)
    if where is None:
        where = place(rng, rng.choice(sorted(WATER_PLACES))) if ANIMAL_KIND.get(h.noun, "").find("sea") >= 0 else place(rng)
    elsewhere = place(rng)
    while elsewhere.noun == where.noun:
        elsewhere = place(rng)
    t = thing_ or thing(rng)
    slots = dict(h=h, o=o, t=t, p=where, q=elsewhere, f=rng.choice(W.FOODS))
    if second:
        slots["u"] = second
    if theme:
        slots["m"] = theme
    slots.update(extra or {})
    if short:
        parts = tell(rng, SHORT, slots)
    elif thing_hero:
        parts = tell(rng, THING_HERO, slots)
    else:
        plot = plot or (NOISE if scary and rng.random() < 0.7 else rng.choice(PLOTS))
        if plot is DREAM and "v" not in slots:
            slots["v"] = rng.choice(DREAMS)
        parts = tell(rng, plot, slots)
    if trait:
        parts.insert(1, say(rng, trait, slots))
    if second:
        if thing_hero or short:
            parts.append(say(rng, rng.choice(SECOND_USE), slots))
        else:
            parts.insert(1, say(rng, rng.choice(SECOND_THING), slots))
            parts.insert(len(parts) - 1, say(rng, rng.choice(SECOND_USE), slots))
    if theme:
        parts.insert(1, say(rng, rng.choice(THEME_OPEN), slots))
        ends = THEME_END if "is" in theme.more else [THEME_END[0], THEME_END[2]]
        parts.append(say(rng, rng.choice(ends), slots))
    if bedtime:
        parts.append(say(rng, rng.choice(BED_END), slots))
    return join(rng, parts, paragraphs), slots


def join(rng, parts, paragraphs=None):
    """Most stories are one paragraph; some have two or three."""
    parts = [p for p in parts if p]
    if paragraphs is None:
        paragraphs = rng.random() < 0.3
    if not paragraphs or len(parts) < 7:
        return " ".join(parts)
    cut = len(parts) // 2 + rng.choice((-1, 0, 1))
    return " ".join(parts[:cut]) + "\n\n" + " ".join(parts[cut:])
