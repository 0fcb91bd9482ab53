//! `--query`: a JMESPath expression, which chooses what is printed.

use std::str::FromStr;

use jmespath::ast::Ast;
use serde_json::Value;

/// An expression that was understood. It is read before a command runs, so that no password is made and then not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Query {
    expression: String,
    /// The names that the expression gives to what it selects, in its order.
    order: Vec<String>,
}

impl FromStr for Query {
    type Err = String;

    fn from_str(expression: &str) -> Result<Self, Self::Err> {
        let compiled = jmespath::compile(expression).map_err(|error| reason(&error))?;
        Ok(Self { expression: expression.to_owned(), order: names(compiled.as_ast()) })
    }
}

impl Query {
    /// What the expression selects of `value`; `null` when nothing.
    ///
    /// # Errors
    /// When a function of the expression cannot work with what it finds.
    pub(super) fn search(&self, value: Value) -> Result<Value, String> {
        let told = |error: jmespath::JmespathError| format!("--query: {}", reason(&error));
        let expression = jmespath::compile(&self.expression).map_err(told)?;
        let found = expression.search(value).map_err(told)?;
        serde_json::to_value(&found).map_err(|error| error.to_string())
    }

    /// The names of the columns, when the expression names them.
    pub(super) fn order(&self) -> &[String] {
        &self.order
    }
}

/// The first line of the error; the others point into the expression.
fn reason(error: &jmespath::JmespathError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// `[].{Name: name, Id: id}` makes objects of `Name` and `Id`: the innermost right end of the expression.
fn names(ast: &Ast) -> Vec<String> {
    match ast {
        Ast::MultiHash { elements, .. } => elements.iter().map(|element| element.key.clone()).collect(),
        Ast::Projection { rhs, .. } | Ast::Subexpr { rhs, .. } => match rhs.as_ref() {
            // `… | [0]` and `… | []` keep what stands before them.
            Ast::Index { .. } | Ast::Slice { .. } | Ast::Identity { .. } => left(ast),
            rhs => names(rhs),
        },
        Ast::Condition { then, .. } => names(then),
        Ast::Flatten { node, .. } => names(node),
        Ast::Function { name, args, .. } if matches!(name.as_str(), "sort_by" | "reverse") => {
            args.first().map(names).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn left(ast: &Ast) -> Vec<String> {
    match ast {
        Ast::Projection { lhs, .. } | Ast::Subexpr { lhs, .. } => names(lhs),
        _ => Vec::new(),
    }
}
