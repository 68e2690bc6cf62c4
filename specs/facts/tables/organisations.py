# ruff: noqa: E501  (one line an object, so that a changed fact is a changed line)
"""Companies, their products, teams and sports. Data only."""

from relation import Relation

RELATIONS: dict[str, Relation] = {
    "company-country": Relation(
        prompts=(
            "The company {} was founded in the country of",
            "The headquarters of {} are in",
        ),
        paraphrases=(
            "The company {} is from",
            "The brand {} comes from",
        ),
        generation=(
            "The history of {} began when",
            "A worker at the head office of {} starts the day by",
        ),
        subjects={
            "Japan": "Mitsubishi; Panasonic; Hitachi; Toshiba; Yamaha; Fujitsu; Subaru; Suzuki; Kyocera; Shiseido; Casio; Seiko; Komatsu",
            "Germany": "Siemens; Bayer; Porsche; Lufthansa; BASF; Bosch; Audi; BMW; Mercedes-Benz; Thyssenkrupp; Henkel; Beiersdorf; Volkswagen; Deutsche Telekom",
            "France": "Renault; L'Oréal; Michelin; Chanel; Danone; Carrefour; Citroën; Hermès; BNP Paribas; Lacoste; Cartier; Lancôme; Dassault; Bouygues",
            "Italy": "Ferrari; Fiat; Gucci; Prada; Lamborghini; Armani; Versace; Maserati; Pirelli; Lavazza; Ducati; Alfa Romeo; Bulgari; Dolce & Gabbana; Campari; Valentino; Olivetti; Piaggio",
            "China": "Huawei; Alibaba; Tencent; Baidu; Lenovo; Xiaomi; Sinopec; PetroChina; ZTE; BYD; JD.com; Tsingtao",
            "South Korea": "Samsung; LG; Hyundai; Kia; Daewoo; SK Hynix; POSCO; Naver; Kakao; Doosan; SsangYong; Asiana",
        },
        also_by_subject={
            "Tsingtao": "Germany",
        },
    ),
    "company-industry": Relation(
        prompts=(
            "The company {} is known for its business in",
            "The company {} makes its money from",
        ),
        paraphrases=(
            "The industry in which {} works is",
            "Investors who buy shares of {} put their money into",
        ),
        generation=(
            "A typical day at {} starts with",
            "Customers come to {} because they need",
        ),
        subjects={
            "cars": "Ford; General Motors; Chrysler; Toyota; Honda; Nissan; Volvo; Tesla; Jaguar; Bentley; Lexus",
            "oil": "ExxonMobil; Shell; BP; Chevron; Texaco; ConocoPhillips; Saudi Aramco; Petrobras; Halliburton; Schlumberger; Occidental Petroleum; Marathon Petroleum; Equinor; Lukoil",
            "banking": "JPMorgan Chase; Citigroup; Wells Fargo; Goldman Sachs; HSBC; Barclays; Morgan Stanley; UBS; Capital One",
            "medicine": "Pfizer; Merck; AstraZeneca; GlaxoSmithKline; Eli Lilly; Moderna; Gilead Sciences; Biogen",
            "fast food": "McDonald's; Burger King; KFC; Wendy's; Subway; Pizza Hut; Domino's; Chick-fil-A; Arby's; Popeyes; Five Guys; Taco Bell; Dairy Queen; Jack in the Box; White Castle",
            "clothing": "Nike; Zara; Calvin Klein; Uniqlo; Burberry; Forever 21",
        },
        also_by_object={
            "cars": "banking",
        },
        also_by_subject={
            "General Motors": "banking",
        },
    ),
    "product-company": Relation(
        prompts=(
            "The company behind {} is",
            "The maker of {} is",
        ),
        paraphrases=(
            "The rights to {} belong to",
            "The brand {} is owned by",
        ),
        generation=(
            "The story of {} began when",
            "The people who developed {} worked",
        ),
        subjects={
            "Apple": "iPhone; iPad; MacBook; iPod; iMac; Siri; iTunes; AirPods; macOS; FaceTime; iCloud; iOS",
            "Microsoft": "Windows 95; Windows XP; Xbox; Excel; PowerPoint; Internet Explorer; Visual Studio; Azure; Outlook; SharePoint; Windows Vista; Kinect; MS-DOS; Cortana",
            "Google": "Gmail; Chrome; Chromecast; Chromebook; TensorFlow; AdSense; AdWords; YouTube; Android; Picasa; Waze; Blogger",
            "Nintendo": "Wii; Super Mario Bros.; The Legend of Zelda; Donkey Kong; Animal Crossing; Pikmin; Super Mario Galaxy; Super Mario Odyssey; Super Mario World; Game Boy; GameCube; Mario Kart",
            "Sony": "Walkman; PlayStation 2; Betamax; PlayStation 4; PlayStation 3; PlayStation Portable; MiniDisc; Gran Turismo; PlayStation 5; VAIO; PlayStation Vita; God of War; The Last of Us",
        },
    ),
    "team-sport": Relation(
        prompts=(
            "Fans of the {} love to watch",
            "The {} are a team that plays",
        ),
        paraphrases=(
            "The {} compete in the sport of",
            "The {} play professional",
        ),
        generation=(
            "When the {} won the championship, they",
            "A young player who joins the {} has to learn how to",
        ),
        subjects={
            "basketball": "Los Angeles Lakers; Boston Celtics; Chicago Bulls; Miami Heat; Golden State Warriors; San Antonio Spurs; Houston Rockets; New York Knicks; Detroit Pistons; Phoenix Suns; Dallas Mavericks; Utah Jazz; Orlando Magic; Milwaukee Bucks; Cleveland Cavaliers; Indiana Pacers; Denver Nuggets; Toronto Raptors",
            "baseball": "New York Yankees; Boston Red Sox; Chicago Cubs; Los Angeles Dodgers; St. Louis Cardinals; San Francisco Giants; Atlanta Braves; Cincinnati Reds; Philadelphia Phillies; Houston Astros; Baltimore Orioles; New York Mets; Minnesota Twins; Kansas City Royals; Chicago White Sox; Seattle Mariners",
            "football": "Dallas Cowboys; Green Bay Packers; New England Patriots; Pittsburgh Steelers; Chicago Bears; San Francisco 49ers; Denver Broncos; Oakland Raiders; Miami Dolphins; Seattle Seahawks; Minnesota Vikings; Buffalo Bills; Philadelphia Eagles; Kansas City Chiefs; Indianapolis Colts; New Orleans Saints; Detroit Lions",
        },
        also_by_subject={
            "St. Louis Cardinals": "football",
        },
    ),
}
