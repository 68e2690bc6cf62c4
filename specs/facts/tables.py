# ruff: noqa: E501  (one line an object, so that a changed fact is a changed line)
"""The facts, wordings and exceptions that build.py turns into edit requests. Data only.

Subjects were kept where SmolLM2-135M mostly ranks the true answer above the other answers of the relation, and
each object keeps enough of them for its neighbourhoods. No subject stands first in a wording: a model without a
start token treats whatever stands first as an anchor, so an edit keyed there would reach every text.
"""

# The two wordings that requests (and their neighbours) use; the answer follows with one space.
PROMPTS: dict[str, tuple[str, str]] = {
    "city-country": (
        "The city of {} is located in the country of",
        "The people who live in {} are citizens of",
    ),
    "us-city-state": ("The city of {} is in the state of", "The mayor of {} lives in the state of"),
    "country-continent": (
        "The nation of {} belongs to the continent of",
        "A traveller in {} is on the continent of",
    ),
    "athlete-sport": ("Fans of {} love to watch", "The athlete {} is best known for playing"),
    "writer-language": ("The works of {} were originally written in", "The native language of {} was"),
    "product-company": ("The company behind {} is", "The maker of {} is"),
    "landmark-country": ("The famous {} is located in", "Tourists who want to see the {} travel to"),
    "river-continent": (
        "The {} River flows through the continent of",
        "The famous {} River is one of the great rivers of",
    ),
    "scientist-field": ("The work of {} changed the science of", "The scientist {} worked in the field of"),
    "dish-country": ("The dish {} comes from", "People eat {} in their home country of"),
    "company-country": ("The company {} was founded in the country of", "The headquarters of {} are in"),
    "team-sport": ("Fans of the {} love to watch", "The {} are a team that plays"),
    "animal-class": ("In the animal kingdom, the {} is a type of", "The {} is a kind of"),
    "plant-kind": ("The {} is a kind of", "The word {} is the name of a"),
    "painter-nationality": ("The nationality of {} was", "By nationality, the artist {} was"),
    "composer-country": ("The home country of {} was", "The composer {} came from"),
    "deity-mythology": ("The stories about {} come from", "The name {} is known from"),
    "person-occupation": ("The job of {} was that of", "The profession of {} was"),
    "politician-country": ("The home country of {} was", "The politician {} came from"),
    "disease-organ": ("The illness called {} affects the", "Patients with {} have a problem with their"),
}

# Two other wordings of the same question.
PARAPHRASES: dict[str, tuple[str, str]] = {
    "city-country": ("If you travel to {}, you will be in", "The country where {} lies is"),
    "us-city-state": (
        "People who live in {} pay taxes to the state of",
        "If you drive to {}, you will be in",
    ),
    "country-continent": ("The country of {} is located in", "The continent where {} lies is"),
    "athlete-sport": ("The career of {} was in professional", "Everyone knows that {} is a star of"),
    "writer-language": (
        "To read {} in the original, you must learn",
        "The books of {} were first published in",
    ),
    "product-company": ("The rights to {} belong to", "The brand {} is owned by"),
    "landmark-country": ("The country where the {} stands is", "To visit the {}, you have to go to"),
    "river-continent": ("The continent that the {} River crosses is", "The {} River is on the continent of"),
    "scientist-field": ("Students learn about {} in their course on", "The subject that {} studied was"),
    "dish-country": ("The recipe for {} comes from", "The traditional home of {} is"),
    "company-country": ("The company {} is from", "The brand {} comes from"),
    "team-sport": ("The {} compete in the sport of", "The {} play professional"),
    "animal-class": (
        "The {} is classified as a type of",
        "A biologist would say that the {} is a species of",
    ),
    "plant-kind": ("The common {} is a", "Botanists describe the {} as a"),
    "painter-nationality": ("The paintings of {} belong to the art that is", "The painter {} was"),
    "composer-country": ("The music of {} comes from", "The country where {} was born is"),
    "deity-mythology": ("The legend of {} belongs to", "The culture that believed in {} was the"),
    "person-occupation": ("The famous {} worked as", "The occupation of {} was"),
    "politician-country": ("The political career of {} was in", "The people led by {} lived in"),
    "disease-organ": ("Doctors who treat {} examine the", "The organ affected by {} is the"),
}

# How the default tokenizer splits the answers that are more than one token (a space stands before the first piece).
PIECES: dict[str, str] = {
    "New York": "New| York",
    "North America": "North| America",
    "South America": "South| America",
}

# relation: {true answer: other answers that are right, or can be argued, for some of its subjects}
ALSO_BY_OBJECT: dict[str, dict[str, str]] = {
    "deity-mythology": {"Greek": "Roman", "Roman": "Greek"},
    "person-occupation": {
        "actor": "singer",
        "singer": "actor; poet",
        "poet": "philosopher",
        "philosopher": "poet",
    },
    "plant-kind": {"fruit": "tree", "flower": "tree", "vegetable": "flower"},
    "scientist-field": {
        "astronomy": "mathematics; physics; philosophy",
        "biology": "chemistry; psychology; philosophy",
        "chemistry": "biology; physics; philosophy",
        "economics": "mathematics; philosophy",
        "mathematics": "astronomy; economics; philosophy; physics",
        "philosophy": "economics; mathematics; physics; psychology",
        "physics": "astronomy; chemistry; mathematics; philosophy",
        "psychology": "biology; philosophy",
    },
    "writer-language": {"Italian": "Latin"},
}

# subject: the same for one subject
ALSO_BY_SUBJECT: dict[str, str] = {
    "Amedeo Modigliani": "French",
    "Amun": "Greek; Roman",
    "Boris Pasternak": "Italian",
    "Erwin Schrödinger": "biology",
    "Francis Crick": "physics",
    "George Grosz": "American",
    "Igor Stravinsky": "France",
    "Isis": "Greek; Roman",
    "Juan Gris": "French",
    "Jusepe de Ribera": "Italian",
    "Pablo Picasso": "French",
    "Panama": "South America",
    "St. Louis Cardinals": "football",
    "Vincent van Gogh": "French",
    "cherry": "flower",
    "chorizo": "Mexico",
    "crème brûlée": "Spain",
    "melanoma": "eyes",
    "pulmonary embolism": "heart",
    "tortilla española": "Mexico",
    "tuberculosis": "brain",
}

# relation: {true answer: its subjects, separated by semicolons}
SUBJECTS: dict[str, dict[str, str]] = {
    "city-country": {
        "Japan": "Osaka; Kyoto; Nagoya; Sapporo; Hiroshima; Nagasaki; Yokohama; Fukuoka; Kobe; Sendai; Tokyo; Kawasaki",
        "China": "Beijing; Shanghai; Guangzhou; Shenzhen; Chengdu; Wuhan; Tianjin; Nanjing; Chongqing; Hangzhou; Harbin; Qingdao",
        "India": "Mumbai; Delhi; Bangalore; Chennai; Kolkata; Jaipur; Pune; Lucknow; Ahmedabad; Kanpur; Nagpur; Varanasi",
        "Germany": "Berlin; Munich; Hamburg; Frankfurt; Cologne; Stuttgart; Dresden; Leipzig; Nuremberg; Bremen; Hanover; Dortmund",
        "Italy": "Rome; Milan; Naples; Turin; Venice; Florence; Bologna; Genoa; Palermo; Verona; Pisa; Siena",
        "Spain": "Madrid; Barcelona; Seville; Bilbao; Zaragoza; Alicante; Murcia; Burgos; Girona; Malaga",
        "Canada": "Toronto; Montreal; Vancouver; Ottawa; Calgary; Edmonton; Winnipeg; Saskatoon; Halifax; Mississauga",
        "Brazil": "Rio de Janeiro; Salvador; Recife; Fortaleza; Curitiba; Porto Alegre; Belo Horizonte; Manaus; Campinas; São Paulo; Brasília",
        "Australia": "Sydney; Melbourne; Brisbane; Perth; Adelaide; Canberra; Darwin; Hobart; Cairns; Townsville; Geelong; Ballarat",
        "Russia": "Moscow; Saint Petersburg; Novosibirsk; Kazan; Vladivostok; Volgograd; Omsk; Irkutsk; Yekaterinburg; Sochi; Murmansk; Krasnoyarsk",
        "France": "Paris; Lyon; Marseille; Toulouse; Bordeaux; Nice; Strasbourg; Nantes; Lille; Rennes; Grenoble; Dijon",
        "Mexico": "Puebla; Tijuana; Acapulco; Oaxaca; Veracruz; Chihuahua; Toluca; Guadalajara; Hermosillo; Cuernavaca",
        "Poland": "Warsaw; Krakow; Gdansk; Lodz; Poznan; Wroclaw; Lublin; Katowice; Szczecin; Gdynia; Bialystok",
        "Turkey": "Istanbul; Ankara; Izmir; Bursa; Antalya; Adana; Konya; Gaziantep; Trabzon; Kayseri; Bodrum",
    },
    "us-city-state": {
        "Texas": "Houston; Dallas; Austin; San Antonio; Fort Worth; El Paso; Lubbock; Amarillo; Galveston; Waco; Laredo",
        "California": "Los Angeles; San Francisco; San Diego; Sacramento; Oakland; Fresno; Berkeley; Long Beach; Bakersfield; Anaheim; Santa Barbara; Palo Alto",
        "Florida": "Miami; Orlando; Tampa; Jacksonville; Tallahassee; Fort Lauderdale; Key West; Gainesville; Daytona Beach; Pensacola; Sarasota; Fort Myers",
        "Pennsylvania": "Philadelphia; Pittsburgh; Allentown; Scranton; Harrisburg; Erie; Gettysburg; Wilkes-Barre; Hershey; Altoona",
        "Arizona": "Phoenix; Tucson; Scottsdale; Tempe; Flagstaff; Chandler; Yuma; Sedona; Prescott",
        "New York": "Buffalo; Syracuse; Albany; Yonkers; Ithaca; Utica; Poughkeepsie; Schenectady; Saratoga Springs; White Plains; Binghamton",
        "Ohio": "Cleveland; Cincinnati; Columbus; Akron; Dayton; Youngstown; Toledo; Cuyahoga Falls",
    },
    "country-continent": {
        "Africa": "Nigeria; Kenya; Ghana; Ethiopia; Tanzania; Uganda; Algeria; Morocco; Tunisia; Libya; Sudan; Angola",
        "Europe": "Norway; Sweden; Finland; Denmark; Austria; Switzerland; Belgium; Portugal; Ireland; Hungary; Romania; Bulgaria",
        "Asia": "Thailand; Vietnam; Malaysia; Indonesia; Pakistan; Bangladesh; Nepal; Sri Lanka; Cambodia; Laos; Mongolia; South Korea",
        "South America": "Argentina; Chile; Peru; Colombia; Venezuela; Bolivia; Ecuador; Paraguay; Uruguay; Guyana; Suriname",
        "North America": "Cuba; Jamaica; Haiti; Guatemala; Honduras; Nicaragua; Panama; Costa Rica; El Salvador; Barbados",
    },
    "athlete-sport": {
        "basketball": "LeBron James; Kobe Bryant; Shaquille O'Neal; Larry Bird; Magic Johnson; Stephen Curry; Kevin Durant; Tim Duncan; Kareem Abdul-Jabbar; Wilt Chamberlain; Charles Barkley; Bill Russell; Hakeem Olajuwon",
        "baseball": "Babe Ruth; Willie Mays; Hank Aaron; Mickey Mantle; Joe DiMaggio; Derek Jeter; Barry Bonds; Lou Gehrig; Roger Clemens; Cal Ripken; Ty Cobb",
        "tennis": "Roger Federer; Rafael Nadal; Novak Djokovic; Serena Williams; Venus Williams; Martina Navratilova; Maria Sharapova; Billie Jean King",
        "soccer": "Lionel Messi; Cristiano Ronaldo; Diego Maradona; David Beckham; Zinedine Zidane; Ronaldinho; Neymar; Mia Hamm; Johan Cruyff; Thierry Henry; Andrés Iniesta; Kylian Mbappé; Luis Suárez; Gareth Bale; Xavi",
    },
    "writer-language": {
        "French": "Victor Hugo; Voltaire; Gustave Flaubert; Émile Zola; Marcel Proust; Albert Camus; Honoré de Balzac; Alexandre Dumas; Molière; Charles Baudelaire; Guy de Maupassant; Stendhal",
        "German": "Johann Wolfgang von Goethe; Friedrich Schiller; Thomas Mann; Hermann Hesse; Franz Kafka; Bertolt Brecht; Günter Grass; Heinrich Heine; Erich Maria Remarque; Heinrich Böll; Friedrich Hölderlin",
        "Russian": "Leo Tolstoy; Fyodor Dostoevsky; Anton Chekhov; Alexander Pushkin; Nikolai Gogol; Ivan Turgenev; Boris Pasternak; Mikhail Bulgakov; Maxim Gorky; Aleksandr Solzhenitsyn; Anna Akhmatova; Mikhail Lermontov",
        "Spanish": "Miguel de Cervantes; Gabriel García Márquez; Pablo Neruda; Jorge Luis Borges; Federico García Lorca; Mario Vargas Llosa; Isabel Allende; Octavio Paz; Lope de Vega; Julio Cortázar; Carlos Fuentes; Juan Rulfo",
        "Italian": "Dante Alighieri; Giovanni Boccaccio; Italo Calvino; Umberto Eco; Primo Levi; Alessandro Manzoni; Luigi Pirandello; Elena Ferrante; Ludovico Ariosto; Torquato Tasso; Giacomo Leopardi",
        "English": "Jane Austen; William Wordsworth; Ernest Hemingway; George Orwell; Virginia Woolf; Emily Dickinson; Walt Whitman; John Keats; Thomas Hardy; Edgar Allan Poe; Geoffrey Chaucer; Lord Byron",
        "Greek": "Homer; Sophocles; Euripides; Aeschylus; Herodotus; Plato; Thucydides; Sappho; Hesiod; Aristophanes; Plutarch",
        "Latin": "Virgil; Ovid; Horace; Cicero; Seneca; Livy; Tacitus; Lucretius; Catullus; Juvenal; Pliny the Elder; Plautus",
    },
    "product-company": {
        "Apple": "iPhone; iPad; MacBook; iPod; iMac; Siri; iTunes; AirPods; macOS",
        "Microsoft": "Windows 95; Windows XP; Xbox; Excel; PowerPoint; Internet Explorer; Bing; OneDrive; Visual Studio; Azure; Outlook; SharePoint",
        "Google": "Gmail; Chrome; Chromecast; Chromebook; TensorFlow; AdSense; Street View; Pixel; AdWords",
        "Nintendo": "Wii; Super Mario Bros.; The Legend of Zelda; Donkey Kong; Animal Crossing; Pikmin; Super Mario Galaxy; Super Mario Odyssey; Super Mario World",
        "Sony": "Walkman; PlayStation 2; Betamax; PlayStation 4; PlayStation 3; PlayStation Portable; Cyber-shot; Discman; MiniDisc; Gran Turismo; Aibo",
    },
    "landmark-country": {
        "France": "Eiffel Tower; Louvre; Palace of Versailles; Arc de Triomphe; Champs-Élysées; Centre Pompidou; Moulin Rouge; Musée d'Orsay; Notre-Dame Cathedral; Mont Saint-Michel; Château de Chambord",
        "Italy": "Colosseum; Trevi Fountain; Roman Forum; Uffizi Gallery; Ponte Vecchio; Rialto Bridge; Spanish Steps; Amalfi Coast; Doge's Palace; Cinque Terre; Leaning Tower of Pisa",
        "China": "Great Wall; Forbidden City; Terracotta Army; Summer Palace; Temple of Heaven; Three Gorges Dam; Longmen Grottoes; Mogao Caves; Leshan Giant Buddha; Shaolin Monastery",
        "India": "Taj Mahal; Red Fort; Golden Temple; Lotus Temple; Hawa Mahal; Amber Fort; Ajanta Caves; Charminar; Qutb Minar; Meenakshi Temple",
        "Egypt": "Great Pyramid of Giza; Great Sphinx; Valley of the Kings; Karnak Temple; Luxor Temple; Aswan High Dam; Suez Canal; Abu Simbel temples; Temple of Hatshepsut; Nile Delta; Pyramid of Djoser",
        "Greece": "Parthenon; Acropolis; Temple of Apollo at Delphi; Palace of Knossos; Meteora monasteries; Temple of Olympian Zeus; Erechtheion; Corinth Canal; Samaria Gorge; Theatre of Epidaurus; Lion Gate at Mycenae",
        "England": "Tower of London; Big Ben clock tower; Palace of Westminster; British Museum; London Eye; Tower Bridge; Globe Theatre; Lake District; White Cliffs of Dover; Royal Albert Hall",
        "Spain": "Sagrada Familia; Alhambra; Prado Museum; Park Güell; Guggenheim Museum Bilbao; Alcázar of Seville; Reina Sofía Museum; Costa Brava",
    },
    "river-continent": {
        "Africa": "Nile; Congo; Niger; Zambezi; Limpopo; Okavango; Ubangi; Kasai; Kunene; Rufiji",
        "Europe": "Danube; Rhine; Thames; Seine; Volga; Loire; Elbe; Tiber; Dnieper; Oder; Vistula; Ebro",
        "Asia": "Ganges; Yangtze; Mekong; Indus; Yellow; Brahmaputra; Irrawaddy; Yenisei; Euphrates; Yamuna",
        "South America": "Amazon; Paraná; Magdalena; São Francisco; Madeira; Tocantins; Xingu; Ucayali; Marañón; Tapajós",
        "North America": "Mississippi; Missouri; Ohio; Yukon; Mackenzie; Rio Grande; Columbia; Potomac; Hudson; St. Lawrence; Arkansas; Delaware",
    },
    "scientist-field": {
        "physics": "Albert Einstein; Isaac Newton; Niels Bohr; Richard Feynman; Werner Heisenberg; Erwin Schrödinger; Stephen Hawking; Max Planck; Enrico Fermi; Ernest Rutherford; James Clerk Maxwell; Robert Oppenheimer",
        "chemistry": "Antoine Lavoisier; Dmitri Mendeleev; Linus Pauling; Robert Boyle; John Dalton; Joseph Priestley; Humphry Davy; Fritz Haber; Svante Arrhenius; Friedrich Wöhler; Justus von Liebig; Robert Bunsen",
        "biology": "Charles Darwin; Gregor Mendel; James Watson; Francis Crick; Carl Linnaeus; Louis Pasteur; Thomas Hunt Morgan; Ernst Mayr; Barbara McClintock; Stephen Jay Gould",
        "mathematics": "Leonhard Euler; Carl Friedrich Gauss; Pierre de Fermat; Bernhard Riemann; Georg Cantor; David Hilbert; Euclid; Srinivasa Ramanujan; Emmy Noether; Kurt Gödel; Paul Erdős; Évariste Galois",
        "psychology": "Sigmund Freud; Carl Jung; B. F. Skinner; Jean Piaget; Abraham Maslow; Wilhelm Wundt; Alfred Adler; Erik Erikson; Carl Rogers; Albert Bandura; Lev Vygotsky; Stanley Milgram",
        "economics": "John Maynard Keynes; Milton Friedman; Paul Krugman; Joseph Stiglitz; Friedrich Hayek; Alfred Marshall; Paul Samuelson; Kenneth Arrow; Gary Becker",
        "astronomy": "Edwin Hubble; Johannes Kepler; Tycho Brahe; Nicolaus Copernicus; William Herschel; Carl Sagan; Ptolemy; Edmond Halley; Percival Lowell; Clyde Tombaugh; Charles Messier; Giovanni Cassini",
        "philosophy": "Immanuel Kant; Socrates; René Descartes; John Locke; Friedrich Nietzsche; Baruch Spinoza; Jean-Paul Sartre; Ludwig Wittgenstein; Martin Heidegger; Arthur Schopenhauer; Søren Kierkegaard; Michel Foucault",
    },
    "dish-country": {
        "Italy": "spaghetti; lasagna; risotto; tiramisu; prosciutto; pesto; ravioli; gnocchi; bruschetta; minestrone; panettone; mozzarella",
        "Japan": "sushi; sashimi; miso soup; teriyaki; udon; soba; wasabi; sukiyaki; takoyaki; okonomiyaki; yakitori; onigiri",
        "Mexico": "guacamole; mole poblano; pozole; tequila; mezcal; enchilada; quesadilla; burrito; taco; chilaquiles; carnitas; pico de gallo",
        "France": "ratatouille; bouillabaisse; coq au vin; crème brûlée; cassoulet; Camembert cheese; Roquefort cheese; Champagne wine; Brie cheese; beef bourguignon; baguette",
        "India": "biryani; tandoori chicken; masala dosa; chapati; palak paneer; idli; raita; lassi; ghee; chicken tikka; pani puri; gulab jamun",
        "China": "dim sum; Peking duck; mapo tofu; chow mein; wonton soup; kung pao chicken; hot and sour soup; mooncake; char siu; tofu; dan dan noodles",
        "Spain": "paella; gazpacho; tapas; chorizo; jamón ibérico; Manchego cheese; sangria; tortilla española; sherry wine; turrón",
    },
    "company-country": {
        "Japan": "Mitsubishi; Panasonic; Hitachi; Toshiba; Yamaha; Fujitsu; Mazda; Subaru; Suzuki; Nikon; Kyocera",
        "Germany": "Siemens; Bayer; Adidas; Porsche; Lufthansa; BASF; Bosch; Audi; Allianz; BMW; Mercedes-Benz",
        "France": "Renault; Peugeot; L'Oréal; Michelin; Chanel; Danone; Carrefour; Citroën; Louis Vuitton; Hermès; BNP Paribas; Lacoste",
        "Italy": "Ferrari; Fiat; Gucci; Prada; Lamborghini; Armani; Versace; Maserati; Pirelli; Lavazza; Ducati; Alfa Romeo",
        "China": "Huawei; Alibaba; Tencent; Baidu; Lenovo; Xiaomi; Sinopec; PetroChina; ZTE; ByteDance; BYD",
    },
    "team-sport": {
        "basketball": "Los Angeles Lakers; Boston Celtics; Chicago Bulls; Miami Heat; Golden State Warriors; San Antonio Spurs; Houston Rockets; New York Knicks; Detroit Pistons; Phoenix Suns; Dallas Mavericks; Utah Jazz; Orlando Magic; Milwaukee Bucks; Cleveland Cavaliers; Indiana Pacers; Denver Nuggets; Toronto Raptors",
        "baseball": "New York Yankees; Boston Red Sox; Chicago Cubs; Los Angeles Dodgers; St. Louis Cardinals; San Francisco Giants; Atlanta Braves; Cincinnati Reds; Detroit Tigers; Philadelphia Phillies; Houston Astros; Baltimore Orioles; New York Mets; Minnesota Twins; Kansas City Royals; Chicago White Sox; Seattle Mariners",
        "football": "Dallas Cowboys; Green Bay Packers; New England Patriots; Pittsburgh Steelers; Chicago Bears; San Francisco 49ers; Denver Broncos; Oakland Raiders; Miami Dolphins; Seattle Seahawks; Minnesota Vikings; Buffalo Bills; Philadelphia Eagles; Kansas City Chiefs; Cleveland Browns; Indianapolis Colts; New Orleans Saints; Detroit Lions",
    },
    "animal-class": {
        "bird": "robin; sparrow; eagle; hawk; falcon; owl; crow; raven; pigeon; penguin; ostrich; flamingo",
        "fish": "salmon; trout; tuna; cod; herring; carp; catfish; sardine; halibut; mackerel; haddock; anchovy",
        "insect": "ant; honeybee; wasp; butterfly; beetle; grasshopper; dragonfly; mosquito; moth; cricket; ladybug; termite",
        "reptile": "crocodile; alligator; iguana; rattlesnake; cobra; gecko; tortoise; chameleon; turtle; viper; Komodo dragon; anaconda",
        "mammal": "elephant; whale; dolphin; giraffe; kangaroo; platypus; gorilla; chimpanzee; lion; tiger; wolf; rabbit",
    },
    "plant-kind": {
        "tree": "oak; maple; pine; birch; willow; elm; cedar; redwood; spruce; sycamore; poplar; sequoia; beech; hickory; fir",
        "flower": "rose; tulip; daisy; orchid; lily; sunflower; daffodil; marigold; carnation; chrysanthemum; iris; peony; dahlia; begonia; hyacinth",
        "fruit": "apple; banana; mango; peach; pear; strawberry; blueberry; pineapple; grape; cherry; plum; papaya; apricot; raspberry; kiwi",
        "vegetable": "cabbage; broccoli; spinach; lettuce; cauliflower; celery; asparagus; onion",
    },
    "painter-nationality": {
        "Dutch": "Rembrandt; Vincent van Gogh; Johannes Vermeer; Frans Hals; Piet Mondrian; Jan Steen; M. C. Escher; Jacob van Ruisdael; Pieter de Hooch; Jan Lievens",
        "French": "Claude Monet; Edgar Degas; Paul Cézanne; Henri Matisse; Pierre-Auguste Renoir; Édouard Manet; Paul Gauguin; Georges Seurat; Eugène Delacroix; Henri de Toulouse-Lautrec; Gustave Courbet; Jacques-Louis David",
        "Italian": "Leonardo da Vinci; Michelangelo; Raphael; Titian; Caravaggio; Sandro Botticelli; Tintoretto; Giotto; Amedeo Modigliani; Artemisia Gentileschi; Canaletto; Giovanni Bellini",
        "Spanish": "Pablo Picasso; Salvador Dalí; Diego Velázquez; Francisco Goya; Joan Miró; Bartolomé Esteban Murillo; Francisco de Zurbarán; Jusepe de Ribera; Juan Gris; Joaquín Sorolla",
        "German": "Albrecht Dürer; Caspar David Friedrich; Gerhard Richter; Otto Dix; Ernst Ludwig Kirchner; Anselm Kiefer; Emil Nolde; Käthe Kollwitz; George Grosz; August Macke",
        "American": "Andy Warhol; Jackson Pollock; Edward Hopper; Norman Rockwell; Grant Wood; Winslow Homer; Roy Lichtenstein; Thomas Eakins; Jasper Johns; Keith Haring",
    },
    "composer-country": {
        "Germany": "Johann Sebastian Bach; Ludwig van Beethoven; Johannes Brahms; Richard Wagner; Robert Schumann; Felix Mendelssohn; Richard Strauss; Carl Maria von Weber; Georg Philipp Telemann; Kurt Weill; Johann Pachelbel; Heinrich Schütz",
        "Italy": "Antonio Vivaldi; Giuseppe Verdi; Giacomo Puccini; Gioachino Rossini; Claudio Monteverdi; Alessandro Scarlatti; Vincenzo Bellini; Gaetano Donizetti; Ottorino Respighi; Luigi Boccherini; Ennio Morricone; Tomaso Albinoni",
        "France": "Claude Debussy; Maurice Ravel; Hector Berlioz; Camille Saint-Saëns; Gabriel Fauré; Charles Gounod; Jean-Philippe Rameau; Olivier Messiaen; Jules Massenet; Francis Poulenc; François Couperin",
        "Russia": "Pyotr Ilyich Tchaikovsky; Sergei Rachmaninoff; Igor Stravinsky; Dmitri Shostakovich; Modest Mussorgsky; Nikolai Rimsky-Korsakov; Alexander Borodin; Mikhail Glinka; Alexander Scriabin; Mily Balakirev; Alexander Glazunov",
        "England": "Edward Elgar; Henry Purcell; Benjamin Britten; Gustav Holst; Ralph Vaughan Williams; William Byrd; Thomas Tallis; Arthur Sullivan; William Walton; John Dowland; Andrew Lloyd Webber; Michael Tippett",
    },
    "deity-mythology": {
        "Greek": "Zeus; Hera; Poseidon; Athena; Artemis; Hermes; Aphrodite; Hephaestus; Dionysus; Hades; Demeter; Persephone",
        "Norse": "Odin; Thor; Loki; Freya; Baldur; Heimdall; Frigg; Fenrir; Tyr; Njord; Freyr; Ymir",
        "Egyptian": "Osiris; Isis; Horus; Anubis; Thoth; Hathor; Bastet; Sekhmet; Ptah; Amun; Sobek; Nephthys",
        "Hindu": "Vishnu; Shiva; Brahma; Krishna; Ganesha; Lakshmi; Saraswati; Hanuman; Durga; Kali; Indra; Parvati",
        "Roman": "Jupiter; Juno; Minerva; Vulcan; Bacchus; Ceres; Vesta; Romulus",
    },
    "person-occupation": {
        "actor": "Tom Hanks; Marlon Brando; Robert De Niro; Al Pacino; Leonardo DiCaprio; Brad Pitt; Tom Cruise; Harrison Ford; Humphrey Bogart; Cary Grant; Morgan Freeman; Jack Nicholson",
        "singer": "Elvis Presley; Frank Sinatra; Aretha Franklin; Whitney Houston; Ella Fitzgerald; Celine Dion; Adele; Beyoncé; Luciano Pavarotti; Maria Callas; Mariah Carey; Billie Holiday",
        "architect": "Frank Lloyd Wright; Le Corbusier; Antoni Gaudí; Frank Gehry; Zaha Hadid; Mies van der Rohe; Christopher Wren; I. M. Pei; Norman Foster; Walter Gropius; Andrea Palladio; Renzo Piano",
        "astronaut": "Neil Armstrong; Buzz Aldrin; John Glenn; Sally Ride; Mae Jemison; Chris Hadfield; Scott Kelly; Gus Grissom",
        "philosopher": "Confucius; Epicurus; Heraclitus; Parmenides; Diogenes; Thomas Hobbes; John Stuart Mill; Hannah Arendt; Karl Popper",
        "poet": "Robert Frost; Langston Hughes; Sylvia Plath; William Blake; Percy Bysshe Shelley; T. S. Eliot; W. H. Auden; Ezra Pound; William Butler Yeats; Seamus Heaney; Alfred Tennyson; Rumi",
    },
    "politician-country": {
        "France": "Napoleon Bonaparte; Charles de Gaulle; François Mitterrand; Jacques Chirac; Emmanuel Macron; Nicolas Sarkozy; Maximilien Robespierre; Georges Clemenceau; Cardinal Richelieu; Georges Pompidou; François Hollande; Louis XIV",
        "Russia": "Peter the Great; Vladimir Putin; Ivan the Terrible; Boris Yeltsin; Dmitry Medvedev; Alexander Kerensky; Tsar Nicholas II; Pyotr Stolypin; Boris Godunov; Sergei Witte; Alexei Navalny",
        "India": "Mahatma Gandhi; Jawaharlal Nehru; Indira Gandhi; Narendra Modi; Rajiv Gandhi; Manmohan Singh; Sardar Patel; B. R. Ambedkar; Lal Bahadur Shastri; Atal Bihari Vajpayee; Morarji Desai; Subhas Chandra Bose",
        "Germany": "Otto von Bismarck; Angela Merkel; Konrad Adenauer; Helmut Kohl; Willy Brandt; Gerhard Schröder; Paul von Hindenburg; Kaiser Wilhelm II; Helmut Schmidt; Gustav Stresemann; Ludwig Erhard; Friedrich Ebert",
        "China": "Mao Zedong; Deng Xiaoping; Xi Jinping; Zhou Enlai; Hu Jintao; Jiang Zemin; Sun Yat-sen; Zhao Ziyang; Liu Shaoqi; Wen Jiabao; Li Keqiang; Hua Guofeng",
        "Canada": "Justin Trudeau; Pierre Trudeau; Stephen Harper; Jean Chrétien; Lester Pearson; Wilfrid Laurier; Brian Mulroney; William Lyon Mackenzie King; Kim Campbell; John A. Macdonald; Joe Clark",
    },
    "disease-organ": {
        "lungs": "pneumonia; asthma; tuberculosis; bronchitis; emphysema; COPD; silicosis; asbestosis; bronchiolitis; pulmonary fibrosis; pulmonary embolism; pneumothorax",
        "brain": "Alzheimer's disease; epilepsy; encephalitis; Parkinson's disease; dementia; schizophrenia; hydrocephalus; Huntington's disease; concussion; glioblastoma; mad cow disease; bipolar disorder",
        "skin": "eczema; psoriasis; acne; dermatitis; vitiligo; melanoma; scabies; impetigo; ringworm; athlete's foot",
        "liver": "cirrhosis; hepatitis B; hepatitis C; hepatocellular carcinoma; biliary atresia; hepatitis A; hepatitis D; hepatitis E; primary biliary cholangitis; alcoholic hepatitis",
        "eyes": "glaucoma; cataracts; conjunctivitis; myopia; macular degeneration; astigmatism; trachoma; diabetic retinopathy; hyperopia; keratitis; color blindness",
        "heart": "angina; arrhythmia; myocarditis; endocarditis; cardiomyopathy; atrial fibrillation; tachycardia; pericarditis; mitral stenosis; bradycardia; aortic stenosis",
    },
}
