//! The consistency conditions of clause 3.3.2, each a query that finds what breaks it.

use std::time::Instant;

use crate::{Failed, Options, connect};

const CONDITIONS: [(&str, &str); 11] = [
    (
        "1",
        "select w_id from warehouse, (select d_w_id, sum(d_ytd) as ytd from district
         group by d_w_id) d where w_id = d_w_id and w_ytd <> ytd",
    ),
    (
        "2",
        "select d_w_id, d_id from district,
         (select o_w_id, o_d_id, max(o_id) as o from orders group by o_w_id, o_d_id) a,
         (select no_w_id, no_d_id, max(no_o_id) as n from new_order group by no_w_id, no_d_id) b
         where o_w_id = d_w_id and o_d_id = d_id and no_w_id = d_w_id and no_d_id = d_id
         and (d_next_o_id - 1 <> o or d_next_o_id - 1 <> n)",
    ),
    (
        "3",
        "select no_w_id, no_d_id from new_order group by no_w_id, no_d_id
         having max(no_o_id) - min(no_o_id) + 1 <> count(*)",
    ),
    (
        "4",
        "select o_w_id, o_d_id from
         (select o_w_id, o_d_id, sum(o_ol_cnt) as a from orders group by o_w_id, o_d_id) o,
         (select ol_w_id, ol_d_id, count(*) as b from order_line group by ol_w_id, ol_d_id) l
         where o_w_id = ol_w_id and o_d_id = ol_d_id and a <> b",
    ),
    (
        "5",
        "select o_w_id, o_d_id, o_id from orders left join new_order
         on no_w_id = o_w_id and no_d_id = o_d_id and no_o_id = o_id
         where (o_carrier_id is null) <> (no_o_id is not null)",
    ),
    (
        "6",
        "select o_w_id, o_d_id, o_id from orders left join
         (select ol_w_id, ol_d_id, ol_o_id, count(*) as n from order_line
          group by ol_w_id, ol_d_id, ol_o_id) l
         on ol_w_id = o_w_id and ol_d_id = o_d_id and ol_o_id = o_id
         where o_ol_cnt <> coalesce(n, 0)",
    ),
    (
        "7",
        "select ol_w_id, ol_d_id, ol_o_id from order_line, orders
         where o_w_id = ol_w_id and o_d_id = ol_d_id and o_id = ol_o_id
         and (ol_delivery_d is null) <> (o_carrier_id is null)",
    ),
    (
        "8",
        "select w_id from warehouse, (select h_w_id, sum(h_amount) as paid from history
         group by h_w_id) h where h_w_id = w_id and w_ytd <> paid",
    ),
    (
        "9",
        "select d_w_id, d_id from district, (select h_w_id, h_d_id, sum(h_amount) as paid
         from history group by h_w_id, h_d_id) h
         where h_w_id = d_w_id and h_d_id = d_id and d_ytd <> paid",
    ),
    (
        "10",
        "select c_w_id, c_d_id, c_id from customer join
         (select h_c_w_id, h_c_d_id, h_c_id, sum(h_amount) as paid from history
          group by h_c_w_id, h_c_d_id, h_c_id) h
         on h_c_w_id = c_w_id and h_c_d_id = c_d_id and h_c_id = c_id left join
         (select o_w_id, o_d_id, o_c_id, sum(ol_amount) as owed from orders, order_line
          where o_w_id = ol_w_id and o_d_id = ol_d_id and o_id = ol_o_id
          and ol_delivery_d is not null group by o_w_id, o_d_id, o_c_id) l
         on o_w_id = c_w_id and o_d_id = c_d_id and o_c_id = c_id
         where c_balance <> coalesce(owed, 0) - paid",
    ),
    (
        "12",
        "select c_w_id, c_d_id, c_id from customer left join
         (select o_w_id, o_d_id, o_c_id, sum(ol_amount) as owed from orders, order_line
          where o_w_id = ol_w_id and o_d_id = ol_d_id and o_id = ol_o_id
          and ol_delivery_d is not null group by o_w_id, o_d_id, o_c_id) l
         on o_w_id = c_w_id and o_d_id = c_d_id and o_c_id = c_id
         where c_balance + c_ytd_payment <> coalesce(owed, 0)",
    ),
];

/// 3.3.2.11, of the database as it was loaded: so many orders are delivered in each district.
const LOADED: &str = "select o_w_id, o_d_id from
    (select o_w_id, o_d_id, count(*) as a from orders group by o_w_id, o_d_id) o,
    (select no_w_id, no_d_id, count(*) as b from new_order group by no_w_id, no_d_id) n
    where o_w_id = no_w_id and o_d_id = no_d_id and a - b <> ";

/// Looks at all conditions; `--seconds 0` says that nothing was run yet.
pub async fn check(options: &Options) -> Result<String, Failed> {
    let client = connect(options).await?;
    if !options.sluice {
        // PostgreSQL takes three columns of a key for independent, and so whole tables for a row.
        client.batch_execute("set enable_nestloop = off").await?;
    }
    let began = Instant::now();
    let delivered = options.customers - options.customers * 3 / 10;
    let loaded = format!("{LOADED}{delivered}");
    let mut conditions = CONDITIONS.to_vec();
    if options.seconds == 0 {
        conditions.push(("11", &loaded));
    }
    let mut broken = Vec::new();
    for (name, sql) in &conditions {
        let at = Instant::now();
        // Counted, as with a LIMIT plans would be for finding a first one soon.
        let count = client.query_one(&format!("select count(*) from ({sql}) s"), &[]).await?;
        if count.get::<_, i64>(0) > 0 {
            broken.push(format!("\"{name}\""));
        }
        let seconds = at.elapsed().as_secs_f64();
        if seconds > SLOW_S {
            eprintln!("   condition {name} took {seconds:.0} s");
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let (broken, count) = (broken.join(", "), conditions.len());
    Ok(format!("{{\"conditions\": {count}, \"broken\": [{broken}], \"seconds\": {seconds:.1}}}"))
}

/// A condition that takes longer is named.
const SLOW_S: f64 = 20.0;
