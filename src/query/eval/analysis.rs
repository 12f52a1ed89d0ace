//! Analysed text: the tokens of Elasticsearch's standard analyser, lower-cased.

use super::wildcard::fold;

/// Longest token in characters; a longer one is cut into pieces.
const TOKEN: usize = 255;

/// What a character is to the word-break rules (UAX #29, as far as they decide tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// `_` and its kin: joins with everything.
    Joiner,
    /// One token for each character: ideographs and hiragana.
    Single,
    /// Between letters: `:` and middle dots.
    MidLetter,
    /// Between digits: `,` and `;`.
    MidDigit,
    /// Between letters or between digits: `.` and `'`.
    Mid,
    /// Belongs to the character before it: accents and joiners.
    Extend,
    Other,
}

fn class(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' => Class::Digit,
        '_' | '\u{203f}' | '\u{2040}' | '\u{2054}' | '\u{ff3f}' | '\u{202f}' => Class::Joiner,
        '.' | '\'' | '\u{2018}' | '\u{2019}' | '\u{2024}' | '\u{fe52}' | '\u{ff07}' | '\u{ff0e}' => {
            Class::Mid
        }
        ':' | '\u{b7}' | '\u{387}' | '\u{55f}' | '\u{5f4}' | '\u{2027}' | '\u{fe13}' | '\u{fe55}'
        | '\u{ff1a}' => Class::MidLetter,
        ',' | ';' | '\u{37e}' | '\u{589}' | '\u{60c}' | '\u{60d}' | '\u{66c}' | '\u{7f8}' | '\u{2044}' => {
            Class::MidDigit
        }
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{ad}'
        | '\u{200c}'..='\u{200f}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' => Class::Extend,
        '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{309f}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => Class::Single,
        c if c.is_alphabetic() => Class::Letter,
        c if c.is_numeric() && c.to_digit(10).is_none() && !c.is_alphanumeric() => Class::Other,
        c if c.is_numeric() => Class::Digit,
        _ => Class::Other,
    }
}

/// The tokens of `text` in order.
pub fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut token = String::new();
    let mut length = 0;
    // The class of the last character of the token that is not `Extend`.
    let mut last = Class::Other;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let class = class(c);
        let continues = match class {
            Class::Extend => {
                if !token.is_empty() {
                    token.push(c);
                }
                continue;
            }
            Class::Letter | Class::Digit | Class::Joiner => {
                matches!(last, Class::Letter | Class::Digit | Class::Joiner)
            }
            Class::Mid | Class::MidLetter | Class::MidDigit => {
                let next = characters.peek().map_or(Class::Other, |c| self::class(*c));
                let joins = match (last, next) {
                    (Class::Letter, Class::Letter) => class != Class::MidDigit,
                    (Class::Digit, Class::Digit) => class != Class::MidLetter,
                    _ => false,
                };
                if joins {
                    token.push(c);
                    length += 1;
                } else {
                    finish(&mut token, &mut length, &mut out);
                    last = Class::Other;
                }
                continue;
            }
            Class::Single | Class::Other => false,
        };
        if !continues || length >= TOKEN {
            finish(&mut token, &mut length, &mut out);
        }
        if class == Class::Other {
            last = Class::Other;
            continue;
        }
        token.push(c);
        length += 1;
        last = class;
    }
    finish(&mut token, &mut length, &mut out);
    out
}

fn finish(token: &mut String, length: &mut usize, out: &mut Vec<String>) {
    // A run of joiners alone is no word.
    if token.chars().any(char::is_alphanumeric) {
        out.push(fold(token).into_owned());
    }
    token.clear();
    *length = 0;
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn words_are_cut_as_the_standard_analyser_cuts_them() {
        for (text, expected) in [
            ("The QUICK brown-fox", vec!["the", "quick", "brown", "fox"]),
            ("can't foo.bar 3.14 1,000 a.1", vec!["can't", "foo.bar", "3.14", "1,000", "a", "1"]),
            ("https://a.b/c?d=e_f", vec!["https", "a.b", "c", "d", "e_f"]),
            ("C:\\Windows\\cmd.exe /c", vec!["c", "windows", "cmd.exe", "c"]),
            ("user@example.com.", vec!["user", "example.com"]),
            ("日本", vec!["日", "本"]),
            ("Ünïcode", vec!["ünïcode"]),
            ("___ - ", vec![]),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
        assert_eq!(tokens(&"x".repeat(300)).iter().map(String::len).collect::<Vec<_>>(), [255, 45]);
    }
}
