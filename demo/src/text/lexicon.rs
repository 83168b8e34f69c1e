//! The word lists, and one way of scoring with them.

use serde::{Deserialize, Serialize};

/// Words that stand before a person's name.
pub const TITLES: [&str; 8] =
    ["Mr", "Mrs", "Miss", "Doctor", "Captain", "Inspector", "Grandfather", "Madam"];
/// Verbs that attribute speech.
pub const SPEECH_VERBS: [&str; 10] = [
    "said",
    "says",
    "asked",
    "called",
    "told",
    "shouted",
    "admitted",
    "answered",
    "cried",
    "whispered",
];
/// Words before which a capital means a place or a thing.
pub const PLACE_PREPOSITIONS: [&str; 12] =
    ["the", "in", "at", "on", "to", "from", "of", "into", "over", "a", "down", "across"];
/// Capitalised words that are nobody's name.
pub const CALENDAR: [&str; 19] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Words that undo the weather named in the same sentence.
pub const CLEARED: [&str; 4] = ["gone", "stopped", "cleared", "shut"];
/// Animals that the artist can draw.
pub const ANIMALS: [&str; 3] = ["goose", "mule", "cat"];
/// Words that make a character a child.
pub const CHILD: [&str; 8] =
    ["girl", "boy", "child", "school", "twelve", "seven", "nineteen", "daughter"];
/// Words that make a character old.
pub const ELDER: [&str; 5] = ["old", "grandfather", "thirty", "moustache", "forty-one"];

/// Declares an enum together with its words, so that a kind and the words that mean it stand side by side.
macro_rules! lexicon {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $kind:ident: [$($word:literal),* $(,)?]),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$item])* $kind),* }

        impl Lexicon for $name {
            fn table() -> &'static [(Self, &'static [&'static str])] {
                &[$(($name::$kind, &[$($word),*])),*]
            }
        }
    };
}

/// A kind of thing that words point to.
pub trait Lexicon: Sized + Copy + PartialEq + 'static {
    /// Each kind with its words, in small letters; where two score the same the earlier wins.
    fn table() -> &'static [(Self, &'static [&'static str])];

    /// The kinds that these weighted words point to, best first, with their scores.
    fn rank<'a>(words: impl Iterator<Item = (&'a str, f64)>) -> Vec<(Self, f64)> {
        let mut scores: Vec<(Self, f64)> =
            Self::table().iter().map(|(kind, _)| (*kind, 0.0)).collect();
        for (word, weight) in words {
            let word = word.to_lowercase();
            for (score, (_, list)) in scores.iter_mut().zip(Self::table()) {
                if list.contains(&word.as_str()) {
                    score.1 += weight;
                }
            }
        }
        scores.retain(|(_, score)| *score > 0.0);
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        scores
    }
}

lexicon! {
    /// Where a scene plays.
    Setting {
        /// Open water, seen from the shore or a deck.
        Sea: ["sea", "ferry", "boat", "rocks", "waves"],
        /// A quay with boats.
        Harbour: ["harbour", "quay", "breakwater"],
        /// A lighthouse on its cliff.
        Lighthouse: ["lighthouse", "cliff"],
        /// A clockmaker's room.
        Workshop: ["workshop", "clock", "copper", "stove"],
        /// A baker's shop.
        Bakery: ["bakery", "oven", "loaves", "flour", "counter", "flue"],
        /// A clerk's office.
        Office: ["office", "desk", "drip", "department"],
        /// Houses on both sides.
        Street: ["street", "fire", "slippers", "crowd"],
        /// Above a city.
        Rooftop: ["roof", "rooftop", "rooftops", "chimneys", "chimney"],
        /// Among trees.
        Forest: ["forest", "pines", "owls"],
        /// High up.
        Mountain: ["mountain", "pass", "bridge", "path"],
        /// Houses on a hillside.
        Village: ["village", "houses", "house", "wall", "children"],
        /// A small room with a stove.
        Hut: ["hut", "stove", "shelf", "room", "postmaster", "post", "sack"],
    }
}

lexicon! {
    /// The light.
    Time {
        /// First light.
        Dawn: ["dawn", "sunrise"],
        /// Broad day.
        Day: ["morning", "noon", "afternoon", "midday", "sun", "daylight"],
        /// Last light.
        Dusk: ["dusk", "sunset", "evening"],
        /// Dark.
        Night: ["night", "midnight", "stars", "moon"],
    }
}

lexicon! {
    /// What the sky does.
    Weather {
        /// Rain falls.
        Rain: ["rain", "rained", "raining"],
        /// Snow falls or lies.
        Snow: ["snow", "storm", "blizzard"],
        /// Fog lies.
        Fog: ["fog", "smoke", "mist"],
    }
}

lexicon! {
    /// How a scene feels.
    Mood {
        /// Glad.
        Joyful: [
            "laughed", "laugh", "party", "home", "smile", "shining", "pies", "yes", "invited", "fast",
            "apple", "voices",
        ],
        /// Something is at stake.
        Tense: [
            "ran", "shouted", "shouting", "frightened", "shaking", "dark", "rocks", "smoke", "angry", "wait", "stopped",
            "reef", "fire", "storm", "snow", "cold", "pulled", "cried", "black",
        ],
        /// Heavy-hearted.
        Sad: [
            "afraid", "crying", "cry", "smaller", "last", "goodbye", "sleep", "lost", "alone", "nothing", "quarrelled",
            "died", "hands",
        ],
        /// Struck by something large.
        Wonder: [
            "stars", "moon", "sky", "above", "letters", "deep", "enormous", "light", "lamps", "pink", "felt", "moved",
            "dream", "dreamed", "thinking", "tree",
        ],
        /// Dry humour.
        Wry: [
            "opinion", "form", "notice", "regulation", "polite", "ate", "official", "goose", "mule", "pencil", "joke",
            "inspector", "licensed", "annoyed", "hens",
        ],
    }
}

lexicon! {
    /// A thing that can be held.
    Prop {
        /// A lit lantern.
        Lantern: ["lantern"],
        /// A sheet of paper.
        Paper: ["form", "notice", "paper", "letter", "letters", "signatures", "appeal"],
        /// A loaf.
        Bread: ["bread", "roll", "loaf", "buns", "pies", "dough"],
        /// A book.
        Book: ["book", "books"],
        /// Something hot to drink.
        Cup: ["cup", "coffee", "soup", "kettle"],
        /// A key as long as a forearm.
        Key: ["key"],
        /// A rope with a bell at its other end.
        Bell: ["bell", "rope"],
        /// A pocket watch.
        Watch: ["watch"],
        /// A sharp pencil.
        Pencil: ["pencil", "pen"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavier_words_win() {
        let words = [("harbour", 1.0), ("Sea", 3.0), ("quay", 1.0)];
        let ranked = Setting::rank(words.into_iter());
        assert_eq!(ranked, [(Setting::Sea, 3.0), (Setting::Harbour, 2.0)]);
    }
}
