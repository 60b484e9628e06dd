//! What `has` decides on the way to a place in an expression.

use std::collections::BTreeMap;

use cel::common::ast::{Expr, IdedExpr, operators};

/// `fact` or a variable, the member, and whether it was seen.
pub(super) type Known = BTreeMap<(String, String), bool>;

/// Adds what certainly was or was not seen when `expr` gave `outcome`.
pub(super) fn implied(expr: &IdedExpr, outcome: bool, known: &mut Known) {
    if let Expr::Select(select) = &expr.expr
        && select.test
        && let Expr::Ident(root) = &select.operand.expr
    {
        known.insert((root.clone(), select.field.clone()), outcome);
    }
    let Expr::Call(call) = &expr.expr else {
        return;
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_NOT, [flag]) => implied(flag, !outcome, known),
        (operators::LOGICAL_AND, [left, right]) if outcome => {
            implied(left, true, known);
            implied(right, true, known);
        }
        (operators::LOGICAL_OR, [left, right]) if !outcome => {
            implied(left, false, known);
            implied(right, false, known);
        }
        _ => {}
    }
}
