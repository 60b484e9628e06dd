//! The tree of a typed expression becomes code that runs.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

use super::duration_ms;
use super::program::{Code, Fold, Operator, Order, Search, Sum};

/// The code of a typed tree; `None` when it holds something that only the interpreter knows.
pub(super) fn compile(tree: &IdedExpr) -> Option<Code> {
    of(tree, &mut Vec::new())
}

fn of(tree: &IdedExpr, scope: &mut Vec<String>) -> Option<Code> {
    match &tree.expr {
        Expr::Literal(LiteralValue::Boolean(flag)) => Some(Code::Flag(*flag.inner())),
        Expr::Literal(LiteralValue::Int(number)) => Some(Code::Number(*number.inner())),
        Expr::Literal(LiteralValue::String(text)) => Some(Code::Text(text.inner().to_owned())),
        Expr::Ident(name) => match scope.iter().rposition(|known| known == name) {
            Some(depth) => Some(Code::Variable(depth)),
            None => (name == "now").then_some(Code::Now),
        },
        Expr::Select(select) => {
            let name = select.field.clone();
            let root = if let Expr::Ident(root) = &select.operand.expr
                && !scope.contains(root)
            {
                root.as_str()
            } else {
                ""
            };
            match (root, select.test) {
                ("fact", true) => Some(Code::HasFact(name)),
                ("fact", false) => Some(Code::Fact(name)),
                ("param", false) => Some(Code::Parameter(name)),
                (_, true) => Some(Code::HasField(boxed(&select.operand, scope)?, name)),
                (_, false) => Some(Code::Field(boxed(&select.operand, scope)?, name)),
            }
        }
        Expr::Call(call) => called(call, scope),
        Expr::List(list) => Some(Code::List(all_of(&list.elements, scope)?)),
        Expr::Comprehension(comprehension) => folded(comprehension, scope),
        Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => None,
    }
}

fn boxed(tree: &IdedExpr, scope: &mut Vec<String>) -> Option<Box<Code>> {
    of(tree, scope).map(Box::new)
}

fn all_of(trees: &[IdedExpr], scope: &mut Vec<String>) -> Option<Vec<Code>> {
    trees.iter().map(|tree| of(tree, scope)).collect()
}

fn called(call: &CallExpr, scope: &mut Vec<String>) -> Option<Code> {
    let arguments: Vec<_> = call
        .target
        .as_deref()
        .into_iter()
        .chain(&call.args)
        .collect();
    match (call.func_name.as_str(), arguments.as_slice()) {
        (operators::LOGICAL_NOT, [flag]) => Some(Code::Not(boxed(flag, scope)?)),
        (operators::NEGATE, [number]) => Some(Code::Negate(boxed(number, scope)?)),
        (operators::CONDITIONAL, [condition, yes, no]) => {
            let condition = of(condition, scope)?;
            let branches = (condition, of(yes, scope)?, of(no, scope)?);
            Some(Code::If(Box::new(branches)))
        }
        ("size", [list]) => Some(Code::Size(boxed(list, scope)?)),
        ("age", [instant]) => Some(Code::Age(boxed(instant, scope)?)),
        ("duration", [text]) => Some(Code::Number(duration_ms(literal(text)?)?)),
        ("unknown", [why]) => Some(Code::GiveUp(literal(why)?.to_owned())),
        (name, [left, right]) => {
            let sides = Box::new((of(left, scope)?, of(right, scope)?));
            let operator = match name {
                operators::LOGICAL_AND => return Some(Code::And(sides)),
                operators::LOGICAL_OR => return Some(Code::Or(sides)),
                operators::EQUALS => Operator::Same(true),
                operators::NOT_EQUALS => Operator::Same(false),
                operators::LESS => Operator::Ordered(Order::Less),
                operators::LESS_EQUALS => Operator::Ordered(Order::LessEquals),
                operators::GREATER => Operator::Ordered(Order::Greater),
                operators::GREATER_EQUALS => Operator::Ordered(Order::GreaterEquals),
                operators::IN => Operator::In,
                operators::ADD => Operator::Sum(Sum::Add),
                operators::SUBSTRACT => Operator::Sum(Sum::Subtract),
                operators::MULTIPLY => Operator::Sum(Sum::Multiply),
                operators::DIVIDE => Operator::Sum(Sum::Divide),
                operators::MODULO => Operator::Sum(Sum::Modulo),
                "contains" => Operator::Search(Search::Contains),
                "startsWith" => Operator::Search(Search::StartsWith),
                "endsWith" => Operator::Search(Search::EndsWith),
                _ => return None,
            };
            Some(Code::Two(operator, sides))
        }
        _ => None,
    }
}

fn literal(tree: &IdedExpr) -> Option<&str> {
    if let Expr::Literal(LiteralValue::String(text)) = &tree.expr {
        Some(text.inner())
    } else {
        None
    }
}

/// The macros of CEL that go over a list, known by what the parser makes of them.
fn folded(comprehension: &ComprehensionExpr, scope: &mut Vec<String>) -> Option<Code> {
    let range = of(&comprehension.iter_range, scope)?;
    let depth = scope.len();
    scope.push(comprehension.iter_var.clone());
    let fold = fold(comprehension, scope);
    scope.truncate(depth);
    Some(Code::Fold(Box::new((range, fold?))))
}

fn fold(comprehension: &ComprehensionExpr, scope: &mut Vec<String>) -> Option<Fold> {
    let accumulator = comprehension.accu_var.as_str();
    let is_so_far =
        |tree: &IdedExpr| matches!(&tree.expr, Expr::Ident(name) if name == accumulator);
    let Expr::Call(step) = &comprehension.loop_step.expr else {
        return None;
    };
    let appended = |tree: &IdedExpr, scope: &mut Vec<String>| {
        let [so_far, one] = operands(tree, operators::ADD)? else {
            return None;
        };
        let Expr::List(list) = &one.expr else {
            return None;
        };
        let [element] = list.elements.as_slice() else {
            return None;
        };
        is_so_far(so_far).then(|| of(element, scope)).flatten()
    };
    let result = &comprehension.result;
    match (step.func_name.as_str(), step.args.as_slice()) {
        (operators::LOGICAL_AND, [so_far, flag]) if is_so_far(so_far) && is_so_far(result) => {
            Some(Fold::All(of(flag, scope)?))
        }
        (operators::LOGICAL_OR, [so_far, flag]) if is_so_far(so_far) && is_so_far(result) => {
            Some(Fold::Exists(of(flag, scope)?))
        }
        (operators::CONDITIONAL, [flag, more, so_far]) if is_so_far(so_far) => {
            if is_so_far(result) {
                let keep = of(flag, scope)?;
                return Some(Fold::Map(Some(keep), appended(more, scope)?));
            }
            let [counted, _one] = operands(result, operators::EQUALS)? else {
                return None;
            };
            let [before, _one] = operands(more, operators::ADD)? else {
                return None;
            };
            let counts = is_so_far(counted) && is_so_far(before);
            counts.then_some(Fold::ExistsOne(of(flag, scope)?))
        }
        (operators::ADD, _) if is_so_far(result) => {
            Some(Fold::Map(None, appended(&comprehension.loop_step, scope)?))
        }
        _ => None,
    }
}

fn operands<'t>(tree: &'t IdedExpr, operator: &str) -> Option<&'t [IdedExpr]> {
    if let Expr::Call(call) = &tree.expr
        && call.func_name == operator
    {
        Some(&call.args)
    } else {
        None
    }
}
