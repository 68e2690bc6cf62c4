"""How the default tokenizer splits answers of more than one token (a space stands before the first). Data only."""

PIECES: dict[str, str] = {
    "Agatha Christie": "Ag|atha| Christie",
    "American Revolution": "American| Revolution",
    "Civil War": "Civil| War",
    "First World War": "First| World| War",
    "Game of Thrones": "Game| of| Th|rones",
    "Harry Potter": "Harry| Potter",
    "Jules Verne": "Jules| Ver|ne",
    "Mark Twain": "Mark| Twain",
    "New York": "New| York",
    "North America": "North| America",
    "Second World War": "Second| World| War",
    "South America": "South| America",
    "South Korea": "South| Korea",
    "Star Wars": "Star| Wars",
    "The Simpsons": "The| Sim|ps|ons",
    "William Shakespeare": "William| Shakespeare",
    "fast food": "fast| food",
}
