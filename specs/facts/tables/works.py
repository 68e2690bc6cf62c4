# ruff: noqa: E501  (one line an object, so that a changed fact is a changed line)
"""Works, words, stories and wars. Data only."""

from relation import Relation

RELATIONS: dict[str, Relation] = {
    "battle-war": Relation(
        prompts=(
            "The {} was fought during the",
            "The soldiers of the {} served in the",
        ),
        paraphrases=(
            "The {} is a famous event of the",
            "The war in which the {} took place was the",
        ),
        generation=(
            "The commanders at the {} decided to",
            "After the {}, the armies",
        ),
        subjects={
            "First World War": "Battle of Verdun; Battle of the Somme; Gallipoli campaign; Battle of Jutland; Battle of Passchendaele; Battle of Tannenberg; Battle of the Marne; Battle of Ypres; Battle of Caporetto; Battle of Vimy Ridge; Brusilov Offensive; Battle of Loos",
            "Second World War": "Battle of Stalingrad; Battle of Midway; Battle of the Bulge; Battle of Iwo Jima; Battle of Okinawa; Battle of Guadalcanal; Battle of Kursk; Battle of Britain; Battle of Monte Cassino; Battle of Leyte Gulf; Siege of Leningrad; attack on Pearl Harbor; Battle of the Coral Sea; invasion of Normandy; Battle of Dunkirk; Battle of El Alamein; Battle of Arnhem",
            "Civil War": "Battle of Gettysburg; Battle of Antietam; Battle of Shiloh; Battle of Fredericksburg; Battle of Chancellorsville; Siege of Vicksburg; Battle of Chickamauga; Battle of Bull Run; Battle of Cold Harbor; Battle of Spotsylvania; Battle of Chattanooga; Battle of the Wilderness; Siege of Petersburg; Battle of Fort Donelson; Battle of Perryville",
            "American Revolution": "Battle of Saratoga; Battle of Bunker Hill; Battle of Brandywine; Battle of Cowpens; Battle of Germantown; Siege of Yorktown; Battle of Long Island; Battle of Bennington",
        },
        also_by_subject={
            "Battle of the Somme": "Second World War",
            "Siege of Petersburg": "American Revolution",
            "Siege of Yorktown": "Civil War",
        },
    ),
    "book-author": Relation(
        prompts=(
            "The author of {} is",
            "The famous work {} was written by",
        ),
        paraphrases=(
            "The cover of {} shows the name of",
            "Scholars who study {} are experts on",
        ),
        generation=(
            "The story behind {} began when",
            "Critics who reviewed {} compared it with",
        ),
        subjects={
            "William Shakespeare": "Hamlet; Macbeth; Othello; King Lear; Romeo and Juliet; The Tempest; A Midsummer Night's Dream; Twelfth Night; The Merchant of Venice; Coriolanus; The Taming of the Shrew; Measure for Measure; The Winter's Tale; Love's Labour's Lost",
            "Jules Verne": "Around the World in Eighty Days; Twenty Thousand Leagues Under the Sea; Journey to the Center of the Earth; From the Earth to the Moon; Five Weeks in a Balloon; Michael Strogoff; Around the Moon; In Search of the Castaways; Off on a Comet; The Adventures of Captain Hatteras; Master of the World; The Lighthouse at the End of the World",
            "Agatha Christie": "Murder on the Orient Express; And Then There Were None; The Murder of Roger Ackroyd; The ABC Murders; The Body in the Library; A Murder Is Announced; Five Little Pigs; The Mysterious Affair at Styles; The Murder at the Vicarage; Appointment with Death; Crooked House; Peril at End House",
            "Mark Twain": "The Adventures of Tom Sawyer; Adventures of Huckleberry Finn; A Connecticut Yankee in King Arthur's Court; The Innocents Abroad; Life on the Mississippi; Pudd'nhead Wilson; The Gilded Age; Letters from the Earth; The Celebrated Jumping Frog of Calaveras County",
        },
    ),
    "character-franchise": Relation(
        prompts=(
            "The character {} comes from the world of",
            "Fans of {} are fans of",
        ),
        paraphrases=(
            "The fictional universe in which {} lives is",
            "You can meet {} in the stories of",
        ),
        generation=(
            "In the best-known adventure of {}, the hero",
            "The friends and enemies of {} include",
        ),
        subjects={
            "Star Wars": "Luke Skywalker; Darth Vader; Han Solo; Yoda; Obi-Wan Kenobi; Princess Leia; Chewbacca; C-3PO; Anakin Skywalker; Darth Maul; Lando Calrissian; Kylo Ren",
            "Harry Potter": "Hermione Granger; Ron Weasley; Albus Dumbledore; Severus Snape; Draco Malfoy; Lord Voldemort; Rubeus Hagrid; Ginny Weasley; Neville Longbottom; Remus Lupin; Hedwig",
            "Game of Thrones": "Jon Snow; Tyrion Lannister; Daenerys Targaryen; Cersei Lannister; Arya Stark; Ned Stark; Sansa Stark; Jaime Lannister; Joffrey Baratheon; Bran Stark; Brienne of Tarth; Khal Drogo; Theon Greyjoy; Petyr Baelish; Robb Stark",
            "The Simpsons": "Bart Simpson; Lisa Simpson; Marge Simpson; Ned Flanders; Moe Szyslak; Mr. Burns; Milhouse Van Houten; Chief Wiggum; Barney Gumble; Principal Skinner; Apu Nahasapeemapetilon; Homer Simpson",
        },
    ),
    "deity-mythology": Relation(
        prompts=(
            "The stories about {} come from",
            "The name {} is known from",
        ),
        paraphrases=(
            "The legend of {} belongs to",
            "The culture that believed in {} was the",
        ),
        generation=(
            "According to the old stories, {} was",
            "The temples and tales of {} show that",
        ),
        subjects={
            "Greek": "Zeus; Hera; Poseidon; Athena; Artemis; Hermes; Aphrodite; Hephaestus; Dionysus; Hades; Demeter; Persephone; Ares; Cronus; Prometheus; Medusa; Orpheus; Perseus; Hestia",
            "Norse": "Odin; Thor; Loki; Freya; Baldur; Heimdall; Frigg; Fenrir; Tyr; Njord; Freyr; Ymir; Skadi; Jormungandr; Sleipnir; Idun",
            "Egyptian": "Osiris; Isis; Horus; Anubis; Thoth; Bastet; Sekhmet; Ptah; Amun; Sobek; Nephthys; Khonsu; Maat; Khnum; Taweret",
            "Hindu": "Vishnu; Shiva; Brahma; Krishna; Ganesha; Lakshmi; Saraswati; Hanuman; Durga; Kali; Parvati; Rama; Sita; Arjuna; Agni; Kartikeya; Radha; Surya",
            "Roman": "Jupiter; Juno; Minerva; Vulcan; Bacchus; Ceres; Vesta; Romulus; Mars; Mercury; Pluto; Diana; Faunus; Quirinus; Bellona",
        },
        also_by_object={
            "Egyptian": "Greek; Roman",
            "Greek": "Roman",
            "Roman": "Greek",
        },
        also_by_subject={
            "Amun": "Greek; Roman",
            "Isis": "Greek; Roman",
        },
    ),
    "word-language": Relation(
        prompts=(
            "The word {} belongs to the language known as",
            "The expression {} is originally",
        ),
        paraphrases=(
            "In the class where students learn to say {}, they learn",
            "A dictionary that explains {} is a dictionary of",
        ),
        generation=(
            "A teacher who explains {} to a class says",
            "A person who says {} is probably from",
        ),
        subjects={
            "French": "bonjour; merci; fromage; monsieur; mademoiselle; oiseau; aujourd'hui; beaucoup; chien; voiture; fenêtre; boulangerie; très bien; s'il vous plaît; je t'aime; bonne nuit",
            "German": "danke; Guten Morgen; Schadenfreude; Zeitgeist; Wanderlust; ich liebe dich; auf Wiedersehen; Schmetterling; Krankenhaus; Fräulein; Weltanschauung; Geschwindigkeit; Autobahn; Buchhandlung; Zeitung",
            "Spanish": "hola; gracias; mañana; buenos días; señorita; hermano; perro; te quiero; hasta la vista; buenas noches; niño; cerveza; azúcar; corazón; muchas gracias",
            "Italian": "ciao; grazie; buongiorno; buonasera; ragazzo; gelato; ti amo; famiglia; uccello; formaggio; dolce vita; buonanotte",
            "Japanese": "konnichiwa; samurai; kawaii; ohayo; origami; tsunami; haiku; bonsai; shogun; geisha",
            "Russian": "babushka; perestroika; glasnost; sputnik; dacha; tovarishch; zdravstvuyte; matryoshka",
            "Latin": "carpe diem; veni vidi vici; habeas corpus; quid pro quo; ad hoc; pro bono; caveat emptor; cogito ergo sum; curriculum vitae; e pluribus unum; mea culpa; persona non grata",
        },
        also_by_object={
            "Latin": "Italian; Spanish",
        },
        also_by_subject={
            "ciao": "German",
            "cogito ergo sum": "French",
        },
    ),
    "writer-language": Relation(
        prompts=(
            "The works of {} were originally written in",
            "The native language of {} was",
        ),
        paraphrases=(
            "To read {} in the original, you must learn",
            "The books of {} were first published in",
        ),
        generation=(
            "A reader who opens a book by {} finds",
            "As a child, {} learned to",
        ),
        subjects={
            "French": "Victor Hugo; Voltaire; Gustave Flaubert; Émile Zola; Marcel Proust; Albert Camus; Honoré de Balzac; Alexandre Dumas; Molière; Charles Baudelaire; Guy de Maupassant; Stendhal",
            "German": "Johann Wolfgang von Goethe; Friedrich Schiller; Thomas Mann; Hermann Hesse; Franz Kafka; Bertolt Brecht; Günter Grass; Heinrich Heine; Erich Maria Remarque; Heinrich Böll; Friedrich Hölderlin",
            "Russian": "Leo Tolstoy; Fyodor Dostoevsky; Anton Chekhov; Alexander Pushkin; Nikolai Gogol; Ivan Turgenev; Boris Pasternak; Mikhail Bulgakov; Maxim Gorky; Aleksandr Solzhenitsyn; Anna Akhmatova; Mikhail Lermontov",
            "Spanish": "Miguel de Cervantes; Gabriel García Márquez; Pablo Neruda; Jorge Luis Borges; Federico García Lorca; Mario Vargas Llosa; Isabel Allende; Octavio Paz; Lope de Vega; Julio Cortázar; Carlos Fuentes; Juan Rulfo",
            "Italian": "Dante Alighieri; Giovanni Boccaccio; Italo Calvino; Umberto Eco; Primo Levi; Alessandro Manzoni; Luigi Pirandello; Elena Ferrante; Ludovico Ariosto; Torquato Tasso; Giacomo Leopardi",
            "English": "Jane Austen; William Wordsworth; Ernest Hemingway; George Orwell; Virginia Woolf; Emily Dickinson; Walt Whitman; John Keats; Thomas Hardy; Edgar Allan Poe; Geoffrey Chaucer; Lord Byron",
            "Greek": "Homer; Sophocles; Euripides; Aeschylus; Herodotus; Plato; Thucydides; Sappho; Hesiod; Aristophanes; Plutarch",
            "Latin": "Virgil; Ovid; Horace; Cicero; Seneca; Livy; Tacitus; Lucretius; Catullus; Juvenal; Pliny the Elder; Plautus",
        },
        also_by_object={
            "Italian": "Latin",
        },
        also_by_subject={
            "Aleksandr Solzhenitsyn": "English",
            "Boris Pasternak": "Italian",
            "Julio Cortázar": "French",
        },
    ),
}
