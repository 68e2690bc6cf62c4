# ruff: noqa: E501  (one line an object, so that a changed fact is a changed line)
"""Animals, plants, substances, body and illness. Data only."""

from relation import Relation

RELATIONS: dict[str, Relation] = {
    "animal-class": Relation(
        prompts=(
            "In the animal kingdom, the {} is a type of",
            "The {} is a kind of",
        ),
        paraphrases=(
            "The {} is classified as a type of",
            "A biologist would say that the {} is a species of",
        ),
        generation=(
            "A child who watches the {} will notice that",
            "The body of the {} is special because",
        ),
        subjects={
            "bird": "robin; sparrow; eagle; hawk; falcon; owl; crow; raven; pigeon; penguin; ostrich; flamingo; swan; duck; goose; parrot; vulture; stork; pelican; hummingbird; woodpecker; seagull",
            "fish": "salmon; trout; tuna; cod; herring; carp; catfish; sardine; halibut; mackerel; haddock; anchovy; shark; eel; sturgeon; swordfish; goldfish; pike; flounder; piranha; barracuda; minnow",
            "insect": "ant; honeybee; wasp; butterfly; beetle; grasshopper; dragonfly; mosquito; moth; cricket; ladybug; termite; cockroach; flea; housefly; bumblebee; locust; cicada; firefly; aphid; stick insect",
            "reptile": "crocodile; alligator; iguana; rattlesnake; cobra; gecko; tortoise; chameleon; turtle; viper; Komodo dragon; anaconda; boa constrictor; skink; Gila monster; lizard; caiman; mamba; king cobra; tuatara",
            "mammal": "elephant; whale; dolphin; giraffe; kangaroo; platypus; gorilla; chimpanzee; lion; tiger; wolf; rabbit; bear; zebra; hippopotamus; rhinoceros; camel; squirrel; leopard; cheetah; otter; hyena; moose",
        },
    ),
    "bodypart-system": Relation(
        prompts=(
            "In anatomy, the {} is part of the system called",
            "Doctors say that the {} belongs to the body system known as",
        ),
        paraphrases=(
            "In biology class, the {} is taught together with the system named",
            "A chart of the human body shows the {} as part of the system that is",
        ),
        generation=(
            "When the {} stops working well, a person",
            "A medical student who studies the {} learns that",
        ),
        subjects={
            "digestive": "stomach; small intestine; large intestine; esophagus; gallbladder; rectum; duodenum; appendix; jejunum; ileum; cecum; salivary gland; bile duct",
            "nervous": "brain; spinal cord; cerebellum; neuron; cerebral cortex; sciatic nerve; hippocampus; brainstem; thalamus; amygdala; optic nerve; medulla oblongata; frontal lobe; vagus nerve",
            "respiratory": "trachea; larynx; bronchus; lung; alveolus; nasal cavity; bronchiole; pharynx; pleura; airway; bronchial tree",
            "circulatory": "heart; aorta; artery; vein; capillary; left ventricle; red blood cell; vena cava; carotid artery; mitral valve; femoral artery; blood vessel",
            "skeletal": "femur; tibia; humerus; skull; pelvis; rib cage; clavicle; sternum; patella; radius; ulna; fibula; scapula; jawbone",
            "muscular": "biceps; triceps; hamstring; quadriceps; deltoid; gluteus maximus; pectoralis major; trapezius; latissimus dorsi; gastrocnemius; soleus; sartorius",
        },
        also_by_object={
            "circulatory": "respiratory; muscular",
            "digestive": "muscular",
            "muscular": "skeletal",
            "respiratory": "muscular",
            "skeletal": "muscular; circulatory",
        },
        also_by_subject={
            "esophagus": "muscular",
            "jawbone": "digestive",
            "lung": "circulatory",
            "pharynx": "digestive; muscular",
            "rib cage": "respiratory",
            "stomach": "muscular",
        },
    ),
    "disease-cause": Relation(
        prompts=(
            "The disease called {} is caused by a",
            "People get {} when they are infected by a",
        ),
        paraphrases=(
            "Laboratories that test for {} look for a",
            "Under the microscope, {} turns out to come from a",
        ),
        generation=(
            "The best way to protect yourself from {} is to",
            "Researchers who study {} have found",
        ),
        subjects={
            "virus": "influenza; measles; mumps; rubella; chickenpox; polio; rabies; Ebola; smallpox; COVID-19; yellow fever; genital herpes; AIDS; SARS; Zika fever; bird flu",
            "bacterium": "cholera; tetanus; typhoid fever; anthrax; syphilis; gonorrhea; bubonic plague; diphtheria; strep throat; Lyme disease; scarlet fever; botulism; Legionnaires' disease; chlamydia; tularemia",
            "parasite": "malaria; sleeping sickness; Chagas disease; leishmaniasis; schistosomiasis; toxoplasmosis; giardiasis; trichinosis; babesiosis; amoebic dysentery; hookworm disease; river blindness; cryptosporidiosis; lymphatic filariasis; cysticercosis",
            "fungus": "candidiasis; histoplasmosis; aspergillosis; blastomycosis; oral thrush; mucormycosis; tinea versicolor; cryptococcosis; onychomycosis",
        },
        also_by_object={
            "bacterium": "parasite",
            "fungus": "parasite",
            "virus": "parasite",
        },
    ),
    "disease-organ": Relation(
        prompts=(
            "The illness called {} affects the",
            "Patients with {} have a problem with their",
        ),
        paraphrases=(
            "Doctors who treat {} examine the",
            "The organ affected by {} is the",
        ),
        generation=(
            "A doctor who suspects {} will first",
            "The first symptoms of {} are",
        ),
        subjects={
            "lungs": "pneumonia; asthma; tuberculosis; bronchitis; emphysema; COPD; silicosis; asbestosis; bronchiolitis; pulmonary fibrosis; pulmonary embolism; pneumothorax; pleurisy; pneumoconiosis; bronchiectasis; pulmonary edema",
            "brain": "Alzheimer's disease; epilepsy; encephalitis; Parkinson's disease; dementia; schizophrenia; hydrocephalus; Huntington's disease; concussion; glioblastoma; mad cow disease; bipolar disorder; stroke; Creutzfeldt-Jakob disease; cerebral palsy",
            "skin": "eczema; psoriasis; acne; dermatitis; vitiligo; melanoma; scabies; impetigo; ringworm; athlete's foot; rosacea; hives; basal cell carcinoma; warts; sunburn; cellulitis; contact dermatitis",
            "liver": "cirrhosis; hepatitis B; hepatitis C; hepatocellular carcinoma; biliary atresia; hepatitis A; hepatitis D; hepatitis E; primary biliary cholangitis; alcoholic hepatitis; fulminant hepatitis; cholestasis; autoimmune hepatitis",
            "eyes": "glaucoma; cataracts; conjunctivitis; myopia; macular degeneration; astigmatism; trachoma; diabetic retinopathy; hyperopia; keratitis; color blindness; retinal detachment; night blindness; presbyopia; strabismus; retinitis pigmentosa",
            "heart": "angina; arrhythmia; myocarditis; endocarditis; cardiomyopathy; atrial fibrillation; tachycardia; pericarditis; mitral stenosis; bradycardia; aortic stenosis; myocardial infarction; ventricular fibrillation; coronary artery disease; tetralogy of Fallot; aortic regurgitation",
            "kidneys": "nephritis; glomerulonephritis; pyelonephritis; nephrotic syndrome; hydronephrosis; nephrolithiasis; renal failure; IgA nephropathy; diabetic nephropathy; renal cell carcinoma",
        },
        also_by_subject={
            "melanoma": "eyes",
            "pulmonary edema": "heart",
            "pulmonary embolism": "heart",
            "tuberculosis": "brain",
        },
    ),
    "plant-kind": Relation(
        prompts=(
            "The {} is a kind of",
            "The word {} is the name of a",
        ),
        paraphrases=(
            "The common {} is a",
            "Botanists describe the {} as a",
        ),
        generation=(
            "A gardener who wants to grow the {} should",
            "In spring, the {} begins to",
        ),
        subjects={
            "tree": "oak; maple; pine; birch; willow; elm; cedar; redwood; spruce; sycamore; poplar; sequoia; beech; hickory; fir; cypress; mahogany; juniper; alder; eucalyptus; larch",
            "flower": "rose; tulip; daisy; orchid; lily; sunflower; daffodil; marigold; chrysanthemum; iris; dahlia; begonia; hyacinth; geranium; poppy; buttercup; gladiolus; zinnia; violet; gardenia",
            "fruit": "apple; banana; mango; peach; pear; strawberry; blueberry; pineapple; grape; cherry; plum; papaya; apricot; raspberry; kiwi; lemon; lime; watermelon; fig; guava; cranberry; blackberry; grapefruit; lychee; pomegranate",
            "vegetable": "cabbage; broccoli; spinach; lettuce; cauliflower; celery; asparagus; potato; leek; beetroot; Brussels sprout",
        },
        also_by_object={
            "flower": "tree",
            "fruit": "tree",
            "vegetable": "flower",
        },
        also_by_subject={
            "cherry": "flower",
            "fig": "flower",
            "watermelon": "vegetable",
        },
    ),
    "substance-kind": Relation(
        prompts=(
            "The substance called {} is a type of",
            "The material known as {} is a kind of",
        ),
        paraphrases=(
            "In a textbook, {} is described as a",
            "An expert would classify {} as a",
        ),
        generation=(
            "A museum that shows {} explains that",
            "Factories use {} because",
        ),
        subjects={
            "metal": "iron; copper; gold; silver; aluminum; zinc; tin; lead; nickel; titanium; platinum; tungsten; chromium; cobalt; uranium; magnesium",
            "gas": "oxygen; nitrogen; helium; hydrogen; neon; argon; chlorine; carbon dioxide; methane; propane; ammonia; ozone; carbon monoxide; radon; krypton",
            "rock": "granite; basalt; limestone; sandstone; slate; shale; obsidian; pumice; gneiss; schist; quartzite; gabbro; andesite; rhyolite; marble",
            "gemstone": "ruby; emerald; sapphire; diamond; topaz; opal; amethyst; garnet; aquamarine; turquoise; jade; tourmaline; peridot",
            "fabric": "cotton; silk; linen; denim; velvet; satin; wool; flannel; chiffon; corduroy; tweed; polyester; cashmere; muslin",
        },
        also_by_object={
            "gemstone": "rock",
            "metal": "rock",
            "rock": "gemstone",
        },
        also_by_subject={
            "hydrogen": "metal",
            "shale": "gas",
        },
    ),
}
