# ruff: noqa: E501  (one line an object, so that a changed fact is a changed line)
"""People: who did what, and from where. Data only."""

from relation import Relation

RELATIONS: dict[str, Relation] = {
    "athlete-sport": Relation(
        prompts=(
            "Fans of {} love to watch",
            "The athlete {} is best known for playing",
        ),
        paraphrases=(
            "The career of {} was in professional",
            "Everyone knows that {} is a star of",
        ),
        generation=(
            "A typical day in the life of {} starts with",
            "The greatest moment in the career of {} came when",
        ),
        subjects={
            "basketball": "LeBron James; Kobe Bryant; Shaquille O'Neal; Larry Bird; Magic Johnson; Stephen Curry; Kevin Durant; Tim Duncan; Kareem Abdul-Jabbar; Wilt Chamberlain; Charles Barkley; Bill Russell; Hakeem Olajuwon; Allen Iverson",
            "baseball": "Babe Ruth; Willie Mays; Hank Aaron; Mickey Mantle; Joe DiMaggio; Derek Jeter; Barry Bonds; Lou Gehrig; Roger Clemens; Cal Ripken; Ty Cobb; Sammy Sosa",
            "tennis": "Roger Federer; Rafael Nadal; Novak Djokovic; Serena Williams; Venus Williams; Martina Navratilova; Maria Sharapova; Billie Jean King",
            "soccer": "Lionel Messi; Cristiano Ronaldo; Diego Maradona; David Beckham; Zinedine Zidane; Ronaldinho; Neymar; Mia Hamm; Johan Cruyff; Thierry Henry; Andrés Iniesta; Kylian Mbappé; Luis Suárez; Gareth Bale; Xavi",
        },
    ),
    "composer-country": Relation(
        prompts=(
            "The home country of {} was",
            "The composer {} came from",
        ),
        paraphrases=(
            "The music of {} comes from",
            "The country where {} was born is",
        ),
        generation=(
            "The early life of {} was spent in",
            "A concert programme about {} explains that",
        ),
        subjects={
            "Germany": "Johann Sebastian Bach; Ludwig van Beethoven; Johannes Brahms; Richard Wagner; Robert Schumann; Felix Mendelssohn; Richard Strauss; Carl Maria von Weber; Georg Philipp Telemann; Kurt Weill; Johann Pachelbel; Heinrich Schütz; Max Reger; Carl Orff; Clara Schumann; Hans Zimmer; Paul Hindemith",
            "Italy": "Antonio Vivaldi; Giuseppe Verdi; Giacomo Puccini; Gioachino Rossini; Claudio Monteverdi; Alessandro Scarlatti; Vincenzo Bellini; Gaetano Donizetti; Ottorino Respighi; Luigi Boccherini; Ennio Morricone; Tomaso Albinoni; Nino Rota; Arcangelo Corelli; Ruggero Leoncavallo; Pietro Mascagni; Luciano Berio; Ludovico Einaudi",
            "France": "Claude Debussy; Maurice Ravel; Hector Berlioz; Camille Saint-Saëns; Gabriel Fauré; Charles Gounod; Jean-Philippe Rameau; Olivier Messiaen; Jules Massenet; Francis Poulenc; François Couperin; Léo Delibes; Pierre Boulez; Lili Boulanger; Jacques Ibert",
            "Russia": "Pyotr Ilyich Tchaikovsky; Sergei Rachmaninoff; Igor Stravinsky; Dmitri Shostakovich; Modest Mussorgsky; Nikolai Rimsky-Korsakov; Alexander Borodin; Mikhail Glinka; Alexander Scriabin; Mily Balakirev; Alexander Glazunov; Nikolai Medtner; Sofia Gubaidulina; Anatoly Lyadov; Sergei Taneyev; Alexander Dargomyzhsky; Anton Arensky",
            "England": "Edward Elgar; Henry Purcell; Benjamin Britten; Gustav Holst; Ralph Vaughan Williams; William Byrd; Thomas Tallis; Arthur Sullivan; William Walton; John Dowland; Andrew Lloyd Webber; Michael Tippett; Frederick Delius; Thomas Arne; Hubert Parry; Orlando Gibbons; Gerald Finzi; John Rutter; Ethel Smyth",
            "Austria": "Wolfgang Amadeus Mozart; Franz Schubert; Anton Bruckner; Johann Strauss II; Arnold Schoenberg; Anton Webern; Carl Czerny",
        },
        also_by_object={
            "Austria": "Germany",
        },
        also_by_subject={
            "Frederick Delius": "France; Germany",
            "Igor Stravinsky": "France",
            "Johannes Brahms": "Austria",
            "Ludwig van Beethoven": "Austria",
            "Richard Strauss": "Austria",
        },
    ),
    "painter-nationality": Relation(
        prompts=(
            "The nationality of {} was",
            "By nationality, the artist {} was",
        ),
        paraphrases=(
            "The paintings of {} belong to the art that is",
            "The painter {} was",
        ),
        generation=(
            "The childhood of {} was spent in",
            "A museum guide who introduces {} says that",
        ),
        subjects={
            "Dutch": "Rembrandt; Vincent van Gogh; Johannes Vermeer; Frans Hals; Piet Mondrian; Jan Steen; M. C. Escher; Jacob van Ruisdael; Pieter de Hooch; Jan Lievens; Meindert Hobbema",
            "French": "Claude Monet; Edgar Degas; Paul Cézanne; Henri Matisse; Pierre-Auguste Renoir; Édouard Manet; Paul Gauguin; Georges Seurat; Eugène Delacroix; Henri de Toulouse-Lautrec; Gustave Courbet; Jacques-Louis David; Berthe Morisot; Jean-Honoré Fragonard; Nicolas Poussin; Henri Rousseau; Odilon Redon; Fernand Léger; Georges Braque",
            "Italian": "Leonardo da Vinci; Michelangelo; Raphael; Titian; Caravaggio; Sandro Botticelli; Tintoretto; Giotto; Amedeo Modigliani; Artemisia Gentileschi; Canaletto; Giovanni Bellini; Paolo Veronese; Fra Angelico; Piero della Francesca; Giorgione; Masaccio; Umberto Boccioni; Paolo Uccello",
            "Spanish": "Pablo Picasso; Salvador Dalí; Diego Velázquez; Francisco Goya; Joan Miró; Bartolomé Esteban Murillo; Francisco de Zurbarán; Jusepe de Ribera; Juan Gris; Joaquín Sorolla; Juan de Valdés Leal; Francisco Ribalta; Santiago Rusiñol; Alonso Cano; Ramon Casas",
            "German": "Albrecht Dürer; Caspar David Friedrich; Gerhard Richter; Otto Dix; Ernst Ludwig Kirchner; Anselm Kiefer; Emil Nolde; Käthe Kollwitz; George Grosz; August Macke; Hans Holbein the Younger; Lucas Cranach the Elder; Matthias Grünewald; Sigmar Polke; Max Liebermann; Neo Rauch",
            "American": "Andy Warhol; Jackson Pollock; Edward Hopper; Norman Rockwell; Grant Wood; Winslow Homer; Roy Lichtenstein; Thomas Eakins; Jasper Johns; Keith Haring; Robert Rauschenberg; Helen Frankenthaler; Thomas Hart Benton",
            "English": "John Constable; William Hogarth; Thomas Gainsborough; Joshua Reynolds; John Everett Millais; Dante Gabriel Rossetti; David Hockney; William Holman Hunt; L. S. Lowry; George Stubbs",
        },
        also_by_subject={
            "Amedeo Modigliani": "French",
            "Dante Gabriel Rossetti": "Italian",
            "David Hockney": "American",
            "Edgar Degas": "Italian",
            "George Grosz": "American",
            "Hans Holbein the Younger": "English",
            "Juan Gris": "French",
            "Jusepe de Ribera": "Italian",
            "Pablo Picasso": "French",
            "Piet Mondrian": "American",
            "Vincent van Gogh": "French",
        },
    ),
    "person-occupation": Relation(
        prompts=(
            "The job of {} was that of",
            "The profession of {} was",
        ),
        paraphrases=(
            "The famous {} worked as",
            "The occupation of {} was",
        ),
        generation=(
            "A typical day in the life of {} began with",
            "The achievement for which people remember {} is",
        ),
        subjects={
            "actor": "Tom Hanks; Marlon Brando; Robert De Niro; Al Pacino; Leonardo DiCaprio; Brad Pitt; Tom Cruise; Harrison Ford; Humphrey Bogart; Cary Grant; Morgan Freeman; Jack Nicholson; Denzel Washington; Robert Redford; Johnny Depp; James Stewart; Sean Connery; Paul Newman; Anthony Hopkins; Michael Caine",
            "singer": "Elvis Presley; Frank Sinatra; Aretha Franklin; Whitney Houston; Ella Fitzgerald; Celine Dion; Adele; Beyoncé; Luciano Pavarotti; Maria Callas; Mariah Carey; Billie Holiday; Madonna; Nina Simone; Johnny Cash; Bob Marley; Tina Turner; Katy Perry; Rihanna; Stevie Wonder; Dolly Parton",
            "architect": "Frank Lloyd Wright; Le Corbusier; Antoni Gaudí; Frank Gehry; Zaha Hadid; Mies van der Rohe; Christopher Wren; I. M. Pei; Norman Foster; Walter Gropius; Andrea Palladio; Renzo Piano; Louis Kahn; Alvar Aalto; Louis Sullivan; Oscar Niemeyer; Philip Johnson; Eero Saarinen; Tadao Ando; Daniel Libeskind",
            "astronaut": "Neil Armstrong; Buzz Aldrin; John Glenn; Sally Ride; Mae Jemison; Chris Hadfield; Scott Kelly; Gus Grissom; Jim Lovell; Gene Cernan",
            "philosopher": "Confucius; Epicurus; Heraclitus; Parmenides; Diogenes; Thomas Hobbes; John Stuart Mill; Hannah Arendt; Karl Popper; David Hume; Jeremy Bentham; Simone de Beauvoir; Zeno of Citium; Democritus; G. W. F. Hegel; Epictetus; Theodor Adorno",
            "poet": "Robert Frost; Langston Hughes; Sylvia Plath; William Blake; Percy Bysshe Shelley; T. S. Eliot; W. H. Auden; Ezra Pound; William Butler Yeats; Seamus Heaney; Alfred Tennyson; Rumi; Robert Burns; John Milton; Robert Browning; Allen Ginsberg; Dylan Thomas; William Carlos Williams; Robert Lowell; Ted Hughes",
        },
        also_by_object={
            "actor": "singer",
            "philosopher": "poet",
            "poet": "philosopher",
            "singer": "actor; poet",
        },
        also_by_subject={
            "Christopher Wren": "philosopher",
            "James Stewart": "architect",
        },
    ),
    "politician-country": Relation(
        prompts=(
            "The home country of {} was",
            "The politician {} came from",
        ),
        paraphrases=(
            "The political career of {} was in",
            "The people led by {} lived in",
        ),
        generation=(
            "In a famous speech, {} promised the people",
            "The early career of {} began in",
        ),
        subjects={
            "France": "Napoleon Bonaparte; Charles de Gaulle; François Mitterrand; Jacques Chirac; Emmanuel Macron; Nicolas Sarkozy; Maximilien Robespierre; Georges Clemenceau; Cardinal Richelieu; Georges Pompidou; François Hollande; Louis XIV",
            "Russia": "Peter the Great; Vladimir Putin; Ivan the Terrible; Boris Yeltsin; Dmitry Medvedev; Alexander Kerensky; Tsar Nicholas II; Pyotr Stolypin; Boris Godunov; Sergei Witte; Alexei Navalny; Sergei Lavrov; Viktor Chernomyrdin; Boris Nemtsov; Yegor Gaidar",
            "India": "Mahatma Gandhi; Jawaharlal Nehru; Indira Gandhi; Narendra Modi; Rajiv Gandhi; Manmohan Singh; Sardar Patel; B. R. Ambedkar; Lal Bahadur Shastri; Atal Bihari Vajpayee; Morarji Desai; Subhas Chandra Bose",
            "Germany": "Otto von Bismarck; Angela Merkel; Konrad Adenauer; Helmut Kohl; Willy Brandt; Gerhard Schröder; Paul von Hindenburg; Kaiser Wilhelm II; Helmut Schmidt; Gustav Stresemann; Ludwig Erhard; Friedrich Ebert",
            "China": "Mao Zedong; Deng Xiaoping; Xi Jinping; Zhou Enlai; Hu Jintao; Jiang Zemin; Sun Yat-sen; Zhao Ziyang; Liu Shaoqi; Wen Jiabao; Li Keqiang; Hua Guofeng",
            "Canada": "Justin Trudeau; Pierre Trudeau; Stephen Harper; Jean Chrétien; Wilfrid Laurier; Brian Mulroney; William Lyon Mackenzie King; John A. Macdonald",
            "Italy": "Benito Mussolini; Silvio Berlusconi; Giuseppe Garibaldi; Camillo Cavour; Aldo Moro; Giulio Andreotti; Romano Prodi; Alcide De Gasperi; Matteo Renzi; Bettino Craxi; Giorgia Meloni; Mario Draghi; Giuseppe Mazzini",
        },
        also_by_subject={
            "Camillo Cavour": "France",
            "Cardinal Richelieu": "Canada",
            "Giuseppe Garibaldi": "France",
            "Louis XIV": "Canada",
            "Napoleon Bonaparte": "Italy",
        },
    ),
    "ruler-country": Relation(
        prompts=(
            "The throne of {} stood in",
            "History books describe {} as a ruler of",
        ),
        paraphrases=(
            "The people ruled by {} lived in",
            "The reign of {} is part of the history of",
        ),
        generation=(
            "During the reign of {}, the people",
            "The palace of {} stood",
        ),
        subjects={
            "Rome": "Augustus; Tiberius; Caligula; Claudius; Nero; Vespasian; Trajan; Marcus Aurelius; Diocletian; Titus; Domitian; Commodus; Antoninus Pius; Julius Caesar; Galba",
            "Egypt": "Tutankhamun; Ramesses II; Cleopatra; Akhenaten; Khufu; Nefertiti; Thutmose III; Amenhotep III; Seti I; Sneferu; Khafre; Menkaure; Ramesses III",
            "England": "Henry VIII; Elizabeth I; William the Conqueror; Richard the Lionheart; Edward VI; Mary Tudor; Richard III; Alfred the Great; Edward the Confessor; Henry V; Henry II; Ethelred the Unready; Harold Godwinson; Edward III; Henry VII",
            "France": "Louis XVI; Louis XV; Louis IX; Hugh Capet; Charles VII; Louis Philippe; Napoleon III; Louis XVIII; Charles X; Henry of Navarre; Louis XIII; Philip of Valois",
            "Russia": "Catherine the Great; Tsar Alexander I; Tsar Alexander II; Tsar Alexander III; Tsar Nicholas I; Tsar Paul I; Tsar Feodor I; Empress Anna Ioannovna; Mikhail Romanov; Ivan III; Vasily III; Tsar Peter III",
            "China": "Qin Shi Huang; Wu Zetian; Puyi; the Kangxi Emperor; the Qianlong Emperor; Empress Dowager Cixi; the Yongle Emperor; Emperor Wu of Han; Emperor Taizong of Tang; the Hongwu Emperor; the Wanli Emperor; Emperor Gaozu of Han; the Yongzheng Emperor; the Chongzhen Emperor; the Jiajing Emperor",
            "Japan": "Emperor Meiji; Hirohito; Akihito; Naruhito; Tokugawa Ieyasu; Toyotomi Hideyoshi; Oda Nobunaga; Emperor Taisho; Minamoto no Yoritomo; Emperor Go-Daigo; Tokugawa Yoshinobu; Ashikaga Takauji; Tokugawa Iemitsu",
        },
        also_by_object={
            "England": "France; Rome",
            "France": "Rome",
            "Rome": "Egypt; England; France",
        },
        also_by_subject={
            "Ivan III": "Rome",
        },
    ),
    "scientist-field": Relation(
        prompts=(
            "The work of {} changed the science of",
            "The scientist {} worked in the field of",
        ),
        paraphrases=(
            "Students learn about {} in their course on",
            "The subject that {} studied was",
        ),
        generation=(
            "The most important discovery of {} was",
            "In the lectures of {}, students heard about",
        ),
        subjects={
            "physics": "Albert Einstein; Isaac Newton; Niels Bohr; Richard Feynman; Werner Heisenberg; Erwin Schrödinger; Stephen Hawking; Max Planck; Enrico Fermi; Ernest Rutherford; James Clerk Maxwell; Robert Oppenheimer",
            "chemistry": "Antoine Lavoisier; Dmitri Mendeleev; Robert Boyle; John Dalton; Joseph Priestley; Humphry Davy; Fritz Haber; Svante Arrhenius; Friedrich Wöhler; Justus von Liebig; Robert Bunsen",
            "biology": "Charles Darwin; Gregor Mendel; James Watson; Francis Crick; Carl Linnaeus; Louis Pasteur; Barbara McClintock; Stephen Jay Gould; Jean-Baptiste Lamarck; E. O. Wilson",
            "mathematics": "Leonhard Euler; Carl Friedrich Gauss; Pierre de Fermat; Bernhard Riemann; Georg Cantor; David Hilbert; Euclid; Srinivasa Ramanujan; Emmy Noether; Kurt Gödel; Paul Erdős; Évariste Galois",
            "psychology": "Sigmund Freud; Carl Jung; B. F. Skinner; Jean Piaget; Abraham Maslow; Wilhelm Wundt; Alfred Adler; Erik Erikson; Carl Rogers; Albert Bandura; Lev Vygotsky; Stanley Milgram",
            "economics": "John Maynard Keynes; Milton Friedman; Paul Krugman; Joseph Stiglitz; Friedrich Hayek; Alfred Marshall; Paul Samuelson; Kenneth Arrow; Gary Becker; Thomas Piketty; Ben Bernanke",
            "astronomy": "Edwin Hubble; Johannes Kepler; Tycho Brahe; Nicolaus Copernicus; William Herschel; Carl Sagan; Ptolemy; Edmond Halley; Percival Lowell; Clyde Tombaugh; Charles Messier; Giovanni Cassini",
            "philosophy": "Immanuel Kant; Socrates; René Descartes; John Locke; Friedrich Nietzsche; Baruch Spinoza; Jean-Paul Sartre; Ludwig Wittgenstein; Martin Heidegger; Arthur Schopenhauer; Søren Kierkegaard; Michel Foucault",
        },
        also_by_object={
            "astronomy": "mathematics; physics; philosophy",
            "biology": "chemistry; psychology; philosophy",
            "chemistry": "biology; physics; philosophy",
            "economics": "mathematics; philosophy",
            "mathematics": "astronomy; economics; philosophy; physics",
            "philosophy": "economics; mathematics; physics; psychology",
            "physics": "astronomy; chemistry; mathematics; philosophy",
            "psychology": "biology; philosophy",
        },
        also_by_subject={
            "Erwin Schrödinger": "biology; psychology",
            "Francis Crick": "physics",
            "Friedrich Hayek": "psychology",
            "Immanuel Kant": "astronomy",
            "Isaac Newton": "economics",
            "John Locke": "chemistry",
            "Nicolaus Copernicus": "economics",
            "Richard Feynman": "biology",
            "Tycho Brahe": "chemistry",
        },
    ),
}
