//! The evaluator: selections against whole columns, dictionaries against flat columns, branches against errors.

use std::sync::Arc;

use arrow::array::{AsArray, DictionaryArray, UInt16Array};
use arrow::datatypes::UInt16Type;
use proptest::prelude::*;
use spg_expr::{ColId, Column, Compiled, EvalContext, Expr};
use spg_types::{Datum, Result, SqlType, def};

use super::{column, overload, return_type, texts};

fn col(id: u32, ty: SqlType) -> Expr {
    Expr::Column { id: ColId(id), ty }
}

fn int(v: i32) -> Expr {
    Expr::Const { value: Datum::Int32(v), ty: SqlType::new(&def::INT4) }
}

fn text(v: &str) -> Expr {
    Expr::Const { value: Datum::Text(v.into()), ty: SqlType::new(&def::TEXT) }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
    let (function, signature) = overload(name, &types);
    Expr::Call { function, signature, ty: return_type(signature, &types), args }
}

fn compiled(e: &Expr) -> Compiled {
    Compiled::new(e, &|id| Some(id.0 as usize)).unwrap()
}

fn eval(e: &Expr, columns: &[Column], rows: usize) -> Result<Vec<String>> {
    Ok(texts(&compiled(e).eval(&EvalContext::detached(), columns, rows)?, e.ty(), rows))
}

fn ints(values: &[&str]) -> Column {
    column(SqlType::new(&def::INT4), values)
}

/// The same column with its distinct values in a dictionary.
fn encoded(column: &Column) -> Column {
    let array = column.inner().as_string_view().clone();
    let mut values: Vec<&str> = array.iter().flatten().collect();
    values.sort_unstable();
    values.dedup();
    // One value that no row has.
    values.push("unused");
    let keys: UInt16Array =
        array.iter().map(|v| v.map(|v| values.iter().position(|x| *x == v).unwrap() as u16)).collect();
    let values = Arc::new(arrow::array::StringViewArray::from(values));
    Column::Array(Arc::new(DictionaryArray::<UInt16Type>::new(keys, values)))
}

#[test]
fn branches_see_only_their_rows() {
    let i4 = SqlType::new(&def::INT4);
    let data = [ints(&["0", "2", "~", "5"])];
    let x = || col(0, i4);
    let inverse = call("/", vec![int(10), x()]);
    let positive = call(">", vec![x(), int(0)]);
    let case = Expr::Case {
        branches: vec![(positive.clone(), inverse.clone())],
        otherwise: Some(Box::new(int(-1))),
        ty: i4,
    };
    assert_eq!(eval(&case, &data, 4).unwrap(), ["-1", "5", "-1", "2"]);
    let and = Expr::And(vec![positive.clone(), call(">", vec![inverse.clone(), int(3)])]);
    assert_eq!(eval(&and, &data, 4).unwrap(), ["f", "t", "~", "f"]);
    let zero = call("=", vec![x(), int(0)]);
    let or = Expr::Or(vec![zero, call(">", vec![inverse.clone(), int(3)])]);
    assert_eq!(eval(&or, &data, 4).unwrap(), ["t", "t", "~", "f"]);
    let coalesce = Expr::Coalesce { args: vec![x(), call("/", vec![int(1), int(0)])], ty: i4 };
    assert_eq!(eval(&coalesce, &[ints(&["1", "2"])], 2).unwrap(), ["1", "2"]);
    assert!(eval(&coalesce, &data, 4).is_err());
    assert!(eval(&inverse, &data, 4).is_err());
    let kept = compiled(&and).filter(&EvalContext::detached(), &data, 4, None).unwrap();
    assert_eq!(kept, Some(vec![1]));
}

#[test]
fn constants_stay_constants() {
    let e = call("+", vec![int(1), int(2)]);
    let out = compiled(&e).eval(&EvalContext::detached(), &[], 5).unwrap();
    assert!(matches!(out, Column::Const(_)));
    let case = Expr::Case {
        branches: vec![(Expr::boolean(true), int(7))],
        otherwise: None,
        ty: SqlType::new(&def::INT4),
    };
    assert_eq!(eval(&case, &[], 1).unwrap(), ["7"]);
}

fn values() -> impl Strategy<Value = Vec<Option<String>>> {
    proptest::collection::vec(proptest::option::of("[abc]{0,2}"), 1..40)
}

fn conditions(ty: SqlType) -> Vec<Expr> {
    let x = || col(0, ty);
    let list = |null: bool| {
        let mut list = vec![text("a"), text("bb"), text("")];
        if null {
            list.push(Expr::null(SqlType::new(&def::TEXT)));
        }
        list
    };
    let mut all = vec![];
    for op in ["=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from", "~~"] {
        all.push(call(op, vec![x(), text("a")]));
        if op != "~~" {
            all.push(call(op, vec![text("b"), x()]));
        }
    }
    all.push(call("~~", vec![x(), text("%b%")]));
    all.push(call("=", vec![call("upper", vec![x()]), text("AB")]));
    all.push(call(">", vec![call("length", vec![x()]), int(1)]));
    all.push(Expr::IsNull(Box::new(x())));
    all.push(Expr::Not(Box::new(Expr::IsNull(Box::new(x())))));
    for negated in [false, true] {
        for null in [false, true] {
            all.push(Expr::InList { input: Box::new(x()), list: list(null), negated });
        }
    }
    let pairs: Vec<Expr> =
        all.windows(2).flat_map(|w| [Expr::And(w.to_vec()), Expr::Or(w.to_vec())]).collect();
    all.extend(pairs);
    all
}

proptest! {
    /// `filter` keeps exactly the rows for which `eval` is true, over flat and encoded columns, from any selection.
    #[test]
    fn filters_like_eval(rows in values(), every in 1usize..4) {
        let ty = SqlType::new(&def::TEXT);
        let spelled: Vec<&str> = rows.iter().map(|v| v.as_deref().unwrap_or("~")).collect();
        let flat = column(ty, &spelled);
        let ctx = EvalContext::detached();
        let n = rows.len();
        let some: Vec<u32> = (0..n as u32).step_by(every).collect();
        for e in conditions(ty) {
            let c = compiled(&e);
            let expected = texts(&c.eval(&ctx, std::slice::from_ref(&flat), n).unwrap(), e.ty(), n);
            for data in [flat.clone(), encoded(&flat)] {
                let out = texts(&c.eval(&ctx, std::slice::from_ref(&data), n).unwrap(), e.ty(), n);
                prop_assert_eq!(&out, &expected, "{:?}", e);
                for selection in [None, Some(&some[..])] {
                    let before = selection.map_or_else(|| (0..n as u32).collect(), <[u32]>::to_vec);
                    let kept = c.filter(&ctx, std::slice::from_ref(&data), n, selection).unwrap();
                    if let Some(k) = &kept {
                        prop_assert!(k.len() < before.len() || before.is_empty());
                    }
                    let kept = kept.unwrap_or_else(|| before.clone());
                    let plain: Vec<u32> = before.into_iter().filter(|r| expected[*r as usize] == "t").collect();
                    prop_assert_eq!(kept, plain, "{:?}", e);
                }
            }
        }
    }

    /// Texts computed from a dictionary are the texts computed from its rows.
    #[test]
    fn dictionaries_like_flat(rows in values()) {
        let ty = SqlType::new(&def::TEXT);
        let spelled: Vec<&str> = rows.iter().map(|v| v.as_deref().unwrap_or("~")).collect();
        let flat = column(ty, &spelled);
        let x = || col(0, ty);
        let i4 = SqlType::new(&def::INT4);
        for e in [
            call("upper", vec![x()]),
            call("left", vec![x(), int(1)]),
            call("||", vec![x(), text("-")]),
            call("length", vec![x()]),
            call("concat", vec![x(), text("-")]),
            call("replace", vec![x(), text("a"), text("b")]),
            Expr::Coalesce { args: vec![x(), text("none")], ty },
            Expr::Case {
                branches: vec![(call("=", vec![x(), text("a")]), int(1)), (call("<", vec![x(), text("b")]), int(2))],
                otherwise: Some(Box::new(call("length", vec![x()]))),
                ty: i4,
            },
        ] {
            let a = eval(&e, std::slice::from_ref(&flat), rows.len()).unwrap();
            let b = eval(&e, &[encoded(&flat)], rows.len()).unwrap();
            prop_assert_eq!(a, b, "{:?}", e);
        }
    }

    /// IN over numbers is a chain of comparisons.
    #[test]
    fn sets_like_comparisons(rows in proptest::collection::vec(proptest::option::of(-70_000i32..70_000), 1..30), picks in proptest::collection::vec(any::<u8>(), 1..6)) {
        let i4 = SqlType::new(&def::INT4);
        let spelled: Vec<String> = rows.iter().map(|v| v.map_or("~".into(), |v| v.to_string())).collect();
        let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
        let data = [ints(&spelled)];
        let list: Vec<i32> = picks.iter().map(|p| rows[*p as usize % rows.len()].unwrap_or(7)).collect();
        let set = Expr::InList { input: Box::new(col(0, i4)), list: list.iter().map(|v| int(*v)).collect(), negated: false };
        let chain = Expr::Or(list.iter().map(|v| call("=", vec![col(0, i4), int(*v)])).collect());
        prop_assert_eq!(eval(&set, &data, rows.len()).unwrap(), eval(&chain, &data, rows.len()).unwrap());
    }
}
