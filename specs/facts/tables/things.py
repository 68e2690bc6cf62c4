# ruff: noqa: E501  (one line an object, so that a changed fact is a changed line)
"""Food, objects, instruments and units. Data only."""

from relation import Relation

RELATIONS: dict[str, Relation] = {
    "dish-country": Relation(
        prompts=(
            "The dish {} comes from",
            "People eat {} in their home country of",
        ),
        paraphrases=(
            "The recipe for {} comes from",
            "The traditional home of {} is",
        ),
        generation=(
            "A cook who wants to prepare {} begins by",
            "The history of {} began when",
        ),
        subjects={
            "Italy": "spaghetti; lasagna; risotto; tiramisu; prosciutto; pesto; ravioli; gnocchi; bruschetta; minestrone; panettone; mozzarella; cannoli; panna cotta; pancetta; Parma ham; ossobuco; limoncello",
            "Japan": "sushi; sashimi; miso soup; teriyaki; udon; soba; wasabi; sukiyaki; takoyaki; okonomiyaki; yakitori; onigiri; ramen; tempura; sake; matcha; mochi; tonkatsu",
            "Mexico": "guacamole; mole poblano; pozole; tequila; mezcal; enchilada; quesadilla; burrito; taco; chilaquiles; carnitas; pico de gallo",
            "France": "bouillabaisse; coq au vin; crème brûlée; cassoulet; Camembert cheese; Roquefort cheese; Champagne wine; Brie cheese; beef bourguignon; baguette; quiche Lorraine; escargot; foie gras; soufflé; crêpe; Cognac brandy",
            "India": "biryani; tandoori chicken; masala dosa; chapati; palak paneer; idli; raita; lassi; ghee; chicken tikka; pani puri; gulab jamun",
            "China": "dim sum; Peking duck; mapo tofu; chow mein; wonton soup; kung pao chicken; hot and sour soup; char siu; tofu; dan dan noodles; baozi; Sichuan hot pot; sweet and sour pork; egg drop soup",
            "Spain": "paella; gazpacho; tapas; chorizo; jamón ibérico; Manchego cheese; tortilla española; sherry wine; turrón; Rioja wine; fabada asturiana; salmorejo; churros; pulpo a la gallega; calçots",
            "Germany": "sauerkraut; bratwurst; sauerbraten; spätzle; pumpernickel; Weisswurst; Black Forest cake; liverwurst; lebkuchen; Kölsch beer",
            "Greece": "souvlaki; tzatziki; spanakopita; dolmades; gyros; ouzo; saganaki; pastitsio; Kalamata olives",
        },
        also_by_subject={
            "chorizo": "Mexico",
            "churros": "Mexico",
            "crème brûlée": "Spain",
            "matcha": "China",
            "mochi": "China",
            "pastitsio": "Italy",
            "ramen": "China",
            "sauerkraut": "France",
            "spätzle": "France",
            "tortilla española": "Mexico",
        },
    ),
    "food-kind": Relation(
        prompts=(
            "At the market, {} is sold as a kind of",
            "The product called {} is a type of",
        ),
        paraphrases=(
            "A cook would say that {} is a",
            "In the shop, you will find {} next to every other",
        ),
        generation=(
            "A good way to serve {} is",
            "The way {} is made begins with",
        ),
        subjects={
            "cheese": "cheddar; gouda; parmesan; feta; gruyère; provolone; ricotta; gorgonzola; emmental; pecorino; mascarpone; halloumi; stilton",
            "wine": "Chardonnay; Merlot; Cabernet Sauvignon; Pinot Noir; Riesling; Chianti; Sauvignon Blanc; Zinfandel; Beaujolais; Malbec; Syrah; Pinot Grigio; Prosecco",
            "spice": "cinnamon; nutmeg; turmeric; cumin; cardamom; paprika; saffron; cloves; ginger; black pepper; coriander; cayenne pepper; star anise; fenugreek; allspice",
            "nut": "almond; walnut; cashew; pecan; hazelnut; pistachio; macadamia; chestnut",
            "grain": "rice; wheat; barley; rye; oats; millet; sorghum; maize; bulgur; teff",
            "bread": "focaccia; ciabatta; sourdough; naan; pita; brioche; challah; bagel; roti; lavash; injera; flatbread",
        },
        also_by_object={
            "bread": "grain",
        },
    ),
    "thing-kind": Relation(
        prompts=(
            "The object that we call {} is a type of",
            "Everyone knows that the {} is a kind of",
        ),
        paraphrases=(
            "A dictionary describes the {} as a",
            "The {} belongs to the things that we call",
        ),
        generation=(
            "A person buys the {} in order to",
            "The history of the {} began when",
        ),
        subjects={
            "furniture": "sofa; armchair; bookcase; dresser; nightstand; desk; stool; bench; cabinet; recliner; ottoman; coffee table",
            "vehicle": "truck; bus; motorcycle; tractor; taxi; ambulance; van; bicycle; minivan; limousine; bulldozer; scooter; jeep; pickup; moped",
            "weapon": "sword; spear; rifle; pistol; crossbow; dagger; revolver; machine gun; shotgun; catapult; cannon; musket; bayonet; grenade; tomahawk",
            "tool": "hammer; screwdriver; wrench; chisel; shovel; drill; saw; hoe; rake; crowbar; trowel; hacksaw; spade; mallet",
            "clothing": "shirt; jacket; sweater; skirt; blouse; coat; cardigan; hoodie; T-shirt; tuxedo; vest; raincoat; kimono; dress",
        },
        also_by_object={
            "tool": "weapon",
            "vehicle": "tool",
            "weapon": "tool",
        },
    ),
    "unit-quantity": Relation(
        prompts=(
            "The {} is a unit of",
            "People use the {} to measure",
        ),
        paraphrases=(
            "Something given in the unit {} is a measure of",
            "A table of units lists the {} under",
        ),
        generation=(
            "In everyday life, the {} is used when",
            "One {} is equal to",
        ),
        subjects={
            "length": "meter; kilometer; inch; yard; mile; centimeter; millimeter; furlong; fathom; micrometer; nanometer; cubit; decimeter; angstrom",
            "time": "minute; hour; week; month; decade; century; millennium; fortnight; nanosecond; millisecond; microsecond; day; picosecond",
            "weight": "gram; kilogram; ounce; ton; milligram; carat; microgram; tonne; troy ounce; hundredweight; metric ton; pennyweight",
            "volume": "gallon; tablespoon; teaspoon; milliliter; bushel; cubic meter; fluid ounce; cubic centimeter; hectoliter",
        },
        also_by_object={
            "time": "length",
            "volume": "weight",
            "weight": "volume",
        },
        also_by_subject={
            "yard": "volume",
        },
    ),
}
