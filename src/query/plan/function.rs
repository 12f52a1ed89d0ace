//! The functions of EQL.

use serde::{Deserialize, Serialize};

/// A function of EQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Function {
    /// `add(x, y)`
    Add,
    /// `between(source, left, right[, greedy])`: the text between two texts.
    Between,
    /// `cidrMatch(address, network, …)`
    CidrMatch,
    /// `concat(value, …)`
    Concat,
    /// `divide(x, y)`
    Divide,
    /// `endsWith(source, text)`
    EndsWith,
    /// `indexOf(source, text[, start])`
    IndexOf,
    /// `length(text)`
    Length,
    /// `modulo(x, y)`
    Modulo,
    /// `multiply(x, y)`
    Multiply,
    /// `number(text[, base])`
    Number,
    /// `startsWith(source, text)`
    StartsWith,
    /// `string(value)`
    String,
    /// `stringContains(source, text)`
    StringContains,
    /// `substring(source, start[, end])`
    Substring,
    /// `subtract(x, y)`
    Subtract,
}

/// What a function takes: name as documented, fewest and most arguments, whether it has a form
/// without case (`~`), whether it is true or false.
struct Signature {
    function: Function,
    name: &'static str,
    least: usize,
    most: usize,
    caseless: bool,
    boolean: bool,
}

const MANY: usize = usize::MAX;

const fn signature(
    function: Function,
    name: &'static str,
    (least, most): (usize, usize),
    caseless: bool,
    boolean: bool,
) -> Signature {
    Signature { function, name, least, most, caseless, boolean }
}

const SIGNATURES: [Signature; 16] = [
    signature(Function::Add, "add", (2, 2), false, false),
    signature(Function::Between, "between", (3, 4), true, false),
    signature(Function::CidrMatch, "cidrMatch", (2, MANY), false, true),
    signature(Function::Concat, "concat", (1, MANY), false, false),
    signature(Function::Divide, "divide", (2, 2), false, false),
    signature(Function::EndsWith, "endsWith", (2, 2), true, true),
    signature(Function::IndexOf, "indexOf", (2, 3), true, false),
    signature(Function::Length, "length", (1, 1), false, false),
    signature(Function::Modulo, "modulo", (2, 2), false, false),
    signature(Function::Multiply, "multiply", (2, 2), false, false),
    signature(Function::Number, "number", (1, 2), false, false),
    signature(Function::StartsWith, "startsWith", (2, 2), true, true),
    signature(Function::String, "string", (1, 1), false, false),
    signature(Function::StringContains, "stringContains", (2, 2), true, true),
    signature(Function::Substring, "substring", (2, 3), false, false),
    signature(Function::Subtract, "subtract", (2, 2), false, false),
];

impl Function {
    /// The function called `name`, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        SIGNATURES.iter().find(|known| known.name.eq_ignore_ascii_case(name)).map(|known| known.function)
    }

    /// Names of all functions.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SIGNATURES.iter().map(|known| known.name)
    }

    /// Its name as documented.
    pub fn name(self) -> &'static str {
        self.signature().map_or("", |known| known.name)
    }

    /// Fewest and most arguments.
    pub fn arity(self) -> (usize, usize) {
        self.signature().map_or((0, 0), |known| (known.least, known.most))
    }

    /// Whether it has a form without case.
    pub fn has_caseless_form(self) -> bool {
        self.signature().is_some_and(|known| known.caseless)
    }

    /// Whether its result is true or false.
    pub fn is_boolean(self) -> bool {
        self.signature().is_some_and(|known| known.boolean)
    }

    fn signature(self) -> Option<&'static Signature> {
        SIGNATURES.iter().find(|known| known.function == self)
    }
}

/// A function as it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Which.
    pub function: Function,
    /// Whether letters match without case (`~`).
    pub insensitive: bool,
}
